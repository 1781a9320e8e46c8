//! HTTP: the client API, and later the admin API. The floor is laid; nothing stands on it yet.
