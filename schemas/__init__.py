"""Every contract that crosses a process: wire, archive, warehouse, Firestore, event codes."""
