"""A transport that remembers what was answered, handed to the SDK by its documented `transport` option."""

import time

from azure.core.pipeline.transport import RequestsTransport


class RecordingTransport(RequestsTransport):
    """The SDK's own transport, keeping every response and when it came."""

    def __init__(self):
        super().__init__()
        self.responses = []
        self.times = []

    def send(self, request, **kwargs):
        """Sends as the SDK would, and remembers the response."""
        response = super().send(request, **kwargs)
        self.responses.append(response)
        self.times.append(time.monotonic())
        return response

    def statuses(self) -> list[int]:
        """The status codes in order of arrival."""
        return [response.status_code for response in self.responses]
