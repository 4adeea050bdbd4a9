"""Import of a Hugging Face folder of llama architecture as GGUF, as llama.cpp's converter does it."""
