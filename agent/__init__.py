"""The agent: a LangGraph graph, its tools, and its doors."""
