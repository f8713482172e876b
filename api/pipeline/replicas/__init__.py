"""Replicas: the services of one model on other hosts, called as one."""
