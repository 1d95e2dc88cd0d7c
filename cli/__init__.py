"""The command line: one thin file for each verb; the verbs of tasks are built from the catalog."""
