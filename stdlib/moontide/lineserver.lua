--- A server that sends lines to whoever connects: something for `socketTextStream` to read in examples, tests and
--- measurements, without any other program.
---
---     local lineserver = require "moontide.lineserver"
---     local server = assert(lineserver.start { rate = 1000 })      -- 1,000 lines a second of varied text
---     local lines = ssc:socketTextStream("127.0.0.1", server.port)
---     …
---     server:stop()
---
--- It runs in a process of its own (the same program, started again), so it takes no time from the script, and it
--- ends with the script, however that ends. Each client gets the text from its beginning. Linux, IPv4.

local lineserver = {}

---@class moontide.lineserver.Options
---@field host string? IPv4 address, default "127.0.0.1"
---@field port integer? default 0: any free one
---@field rate number? lines a second, default 0: as fast as the client reads
---@field interval number? ms between bursts, default 10
---@field count integer? lines for each client
---@field clients integer? leave after so many; default: serve until stopped
---@field file string? path of the text
---@field text string? the text itself
---@field seed integer? of generated text, default 1
---@field marks boolean? begin each burst with a line "@<µs>"
---@field keep boolean? leave connections open at the end

local server = {}
server.__index = server

-- name → type, check, what it should have been
local options = {
    host = { "string" },
    port = { "number", function(n) return n >= 0 and n <= 65535 and n % 1 == 0 end, "a port from 0 to 65535" },
    rate = { "number", function(n) return n >= 0 and n < math.huge end, "lines a second, 0 = as fast as possible" },
    interval = { "number", function(n) return n >= 1 and n < math.huge end, "milliseconds, at least 1" },
    count = { "number", function(n) return n >= 0 and n % 1 == 0 end, "a number of lines" },
    clients = { "number", function(n) return n >= 1 and n % 1 == 0 end, "a number of clients, at least 1" },
    seed = { "number", function(n) return n >= 0 and n % 1 == 0 end, "a whole number" },
    file = { "string" },
    text = { "string", function(s) return #s <= 20000 end, "at most 20,000 bytes: put a longer one into a file" },
    marks = { "boolean" },
    keep = { "boolean" },
}

local function nearest(name)
    local names = {}
    for known in pairs(options) do
        names[#names + 1] = known
    end
    table.sort(names)
    return "unknown option '" .. tostring(name) .. "'; the options are " .. table.concat(names, ", ")
end

local function check(given)
    if type(given) ~= "table" then
        error("lineserver.start: a table of options expected, got " .. type(given), 3)
    end
    for name, value in pairs(given) do
        local option = options[name]
        if not option then
            error("lineserver.start: " .. nearest(name), 3)
        elseif type(value) ~= option[1] or option[2] and not option[2](value) then
            error(("lineserver.start: '%s' must be %s, got %s"):format(name, option[3] or "a " .. option[1],
                type(value) == option[1] and tostring(value) or type(value)), 3)
        end
    end
    if given.file and given.text then
        error("lineserver.start: give 'file' or 'text', not both", 3)
    end
end

local function literal(value)
    return type(value) == "string" and ("%q"):format(value):gsub("\\\n", "\\n") or tostring(value)
end

-- What the child runs: our own module paths, so that it finds this module where we found it, and the settings.
local function child_script(settings)
    local fields = {}
    for name, value in pairs(settings) do
        fields[#fields + 1] = name .. "=" .. literal(value)
    end
    table.sort(fields)
    return ("package.path=%s package.cpath=%s\nrequire('moontide.lineserver.serve').run{%s}\n"):format(
        literal(package.path), literal(package.cpath), table.concat(fields, ","))
end

--- Starts a server and returns when clients can connect.
---
---     local lineserver = require "moontide.lineserver"
---     local server = assert(lineserver.start { rate = 1000, count = 5000 })
---     local lines = ssc:socketTextStream("127.0.0.1", server.port)
---
--- Text: `file` (a path), `text` (bytes as they are), or generated lines of words (`seed`, default 1). `count`
--- lines are sent to each client, the text being repeated as often as that takes; the default is the text once, and
--- generated text for ever. Then the connection is closed, or stays open without a word (`keep`).
---
--- Speed: `rate` lines a second (default 0: as fast as the client reads), in bursts every `interval` ms (default
--- 10). With `marks` each burst begins with a line "@N": the moment it was due, in microseconds of
--- `lineserver.clock()`.
--- Unknown options and wrong values are errors at the caller's line. Not in Spark.
---@param given? moontide.lineserver.Options default: generated text, as fast as clients read, on a free port
---@return table? server with its `port`
---@return string? err
function lineserver.start(given)
    check(given or {})
    local settings = { host = "127.0.0.1", port = 0, rate = 0 }
    for name, value in pairs(given or {}) do
        settings[name] = value
    end
    settings.interval = (settings.interval or 10) / 1000
    settings.endless = not settings.file and not settings.text and not settings.count or nil

    local process = require "moontide.lineserver.process"
    local child, err = process.start(child_script(settings))
    if not child then
        return nil, err
    end
    local line = child:read_line(30)
    local port = line and line:match("^port (%d+)$")
    if not port then
        child:kill()
        return nil, "the line server did not start" .. (line and ": " .. line:gsub("^error ", "") or "")
    end
    return setmetatable({ child = child, host = settings.host, port = tonumber(port), pid = child.pid }, server)
end

--- The next thing that happened: "client <µs>" (one connected), "sent <lines> <bytes>" (one got everything), "left"
--- (one closed before it had everything).
---
---     while server:event(5) ~= "left" do end
---
--- Not in Spark.
---@param timeout? number seconds, default: wait for it
---@return string? event
---@return string? why "timeout" or "ended"
function server:event(timeout)
    return self.child:read_line(timeout)
end

--- Stops serving; what was sent is still delivered. May be called twice.
---
---     server:stop()
---
--- Not in Spark.
function server:stop()
    self.child:stop()
end

--- Ends the server at once, as a crash would.
---
---     server:kill()  -- the streams try to connect again from now on
---
--- Not in Spark.
function server:kill()
    self.child:kill()
end

--- Seconds of the clock that the marks are taken from: monotonic, the same in all processes of the machine.
---
---     local begin = require("moontide.lineserver").clock()
---
--- Not in Spark.
---@return number
function lineserver.clock()
    return require("moontide.lineserver.sockets").clock()
end

return lineserver
