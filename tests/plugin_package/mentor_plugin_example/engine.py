class Llama:
    name = "llama_cpp"
    summary = "llama.cpp's server, behind a command that an operator names"
    module = "llama_cpp"
    program = ("-m", "llama_cpp.server")
    takes = frozenset({"max_model_len"})
    plain = frozenset({"--verbose"})
    tokens = {"generated": "llamacpp:tokens_predicted_total"}

    def arguments(self, launch):
        return [f"--model={launch.folder}", f"--model_alias={launch.name}", f"--port={launch.port}"]

    def environment(self, launch):
        return {"API_KEY": launch.key}


PLUGIN = Llama()
