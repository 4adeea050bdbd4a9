"""Import of Hugging Face folders of llama architecture, as llama.cpp's converter does it."""
