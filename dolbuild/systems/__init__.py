"""Running Systems: values across the border, calls that are undone, constraints, durable state, the HTTP interface."""
