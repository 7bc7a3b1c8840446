"""robustmer: noise, systems, protocol and comparison for robust multimodal emotion recognition."""
