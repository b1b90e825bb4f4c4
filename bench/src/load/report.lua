-- Makes wrk print its figures as one line of JSON after its own report. Latencies are in microseconds.
-- There is no request() or response() here, so a request costs wrk the same as without a script.
function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '{"duration_us":%d,"responses":%d,"status_errors":%d,"socket_errors":%d,"p50_us":%d,"p99_us":%d,"p999_us":%d}\n',
      summary.duration, summary.requests, errors.status,
      errors.connect + errors.read + errors.write + errors.timeout,
      latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
