"""What a person sees: one module per view, and the text formatting they share."""
