"""What the bridge tells the outside: logs, metrics, alerts, health. It reads documents, decides nothing."""
