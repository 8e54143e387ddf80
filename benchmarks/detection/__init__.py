"""How well the product detects, measured on real recordings and, apart from them, on the simulator.

A part is a module of this package, named in `__main__.PARTS`, with

    measure() -> dict               its result: "figures" (a list made with `figures`), and whatever
                                    else its tables and plots need, all of it JSON
    tables(found) -> dict[str, str] optional: name → Markdown, put between the marks of docs/detection.md
    draw(found, folder) -> None     optional: SVG files, made with `plots`

`found` is what `measure` returned, read from docs/detection/PART.json: tables and plots are made from
the committed result alone, and a test holds the page against it. A figure is of real recordings or of
synthetic ones, never of both.
"""
