"""A registered model as a service: one program per model, beside the tracking server.

MLflow's own scoring server does the scoring, in a process of its own per version; what is here
decides which version that is, keeps the port, and shows the page.
"""
