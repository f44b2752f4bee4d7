// An HTTP client that remembers what was answered, handed to the SDK by its documented `httpClient` option.

import { createDefaultHttpClient } from "@azure/core-rest-pipeline";

export class RecordingHttpClient {
  #inner = createDefaultHttpClient();
  responses = [];
  times = [];

  /** Sends as the SDK would, and remembers the response. */
  async sendRequest(request) {
    const response = await this.#inner.sendRequest(request);
    this.responses.push(response);
    this.times.push(performance.now() / 1000);
    return response;
  }

  /** The status codes in order of arrival. */
  statuses() {
    return this.responses.map((response) => response.status);
  }
}
