"""The service under measurement: started with its models and table, and watched."""
