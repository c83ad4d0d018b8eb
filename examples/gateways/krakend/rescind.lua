-- Asks the decision point (rescind pdp) before KrakenD calls a backend.
-- An error in here ends the request with 500, so a decision point that is down denies.

local CHECK = "http://127.0.0.1:8760/v1/check"

function ask_rescind(r)
  local token = r:headers("Authorization")
  local answer = http_response.new(CHECK, "GET", "", {["Authorization"] = token})
  local status = answer:statusCode()
  local reason = answer:headers("X-Rescind-Reason")
  answer:close()
  if status ~= 200 then
    if status ~= 401 then
      status = 403
    end
    custom_error(reason, status)
  end
  -- The backend gets what was asked about, and no second header of that name.
  r:headers("Authorization", token)
end
