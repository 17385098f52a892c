-- For wrk: asks for the manifests of some tags in turn, and prints what came of it. The arguments are the path without the number of
-- the tag, and the number of tags.

local number = 0

function init(arguments)
  path, tags = arguments[1], tonumber(arguments[2])
  wrk.headers['Accept'] = 'application/vnd.docker.distribution.manifest.v2+json'
end

function request()
  number = number % tags + 1
  return wrk.format('GET', path .. number)
end

function done(summary, latency)
  local errors = summary.errors
  local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('\n%d %d %f %d\n', summary.requests, summary.duration, latency:percentile(99), bad))
end
