"""What the pages show: pure functions from records to HTML. They know no Gradio, read nothing and change nothing.

Prompts, file names and sentences may hold anything a person typed or a file contained: every view escapes them.
"""
