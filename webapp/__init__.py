"""The dispatcher's console: Flask, one Firestore listener, server-sent events. See `webapp.app`."""
