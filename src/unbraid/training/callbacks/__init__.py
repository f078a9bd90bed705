"""What happens beside the training steps: checkpoints, metrics, progress, a clean stop."""
