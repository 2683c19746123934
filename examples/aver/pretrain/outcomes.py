"""What a pretraining leaves behind."""
