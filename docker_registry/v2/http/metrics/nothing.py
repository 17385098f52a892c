"""Stands for the metrics of a registry that has none. It imports nothing, so that prometheus-client takes no time and no memory."""


class Nothing:
    """Has the methods of `counting.Metrics` that the application and the server call, and does nothing."""

    is_shown = False  # at /metrics

    def begin(self):
        pass

    def drop(self):
        pass

    def end(self, request, status, sent, seconds):
        pass

    def of(self, storage):
        return self

    def watch(self, events):
        pass

    def before_fork(self, arbiter, worker):
        pass

    def after_fork(self, arbiter, worker):
        pass

    def after_death(self, arbiter, worker):
        pass

    def begin_worker(self, storage):
        pass

    def keep(self):
        pass


NO_METRICS = Nothing()
