-- A TCP server inside the spec's own process, moved by hand: nothing is sent that the test did not ask for.
--
--     local line_server = require "spec.support.line_server"
--     local server = line_server.listen()
--     finally(function() server:close() end)
--     … ssc:socketTextStream("127.0.0.1", server.port) …
--     local client = server:accept()                -- waits for the connection
--     client:send("one\ntwo\nthr")
--     client:close()                                -- in the middle of a line
--
-- Waiting is bounded: what does not happen within ten seconds is an error. For a server that sends by itself, see
-- moontide.lineserver.

local sockets = require "moontide.lineserver.sockets"

local line_server = {}
line_server.__index = line_server

local connection = {}
connection.__index = connection

local patience = 10 -- seconds

--- Listens on 127.0.0.1.
---@param port? integer default: a free one
---@return table server with its `port`
function line_server.listen(port)
    local fd, got = sockets.listen("127.0.0.1", port or 0)
    assert(fd, got)
    return setmetatable({ fd = fd, port = got, connections = {} }, line_server)
end

--- A port of 127.0.0.1 that nobody listens on.
---@return integer
function line_server.closed_port()
    local fd, port = sockets.listen("127.0.0.1", 0)
    assert(fd, port)
    sockets.close(fd)
    return port
end

--- Takes the next connection.
---@return table connection
function line_server:accept()
    local wanted = { { fd = self.fd, events = sockets.POLLIN } }
    sockets.poll(wanted, patience)
    local fd = assert(sockets.accept(self.fd), "nobody connected")
    local accepted = setmetatable({ fd = fd }, connection)
    self.connections[#self.connections + 1] = accepted
    return accepted
end

--- Stops listening and closes what is open.
function line_server:close()
    for _, each in ipairs(self.connections) do
        each:close()
    end
    if self.fd then
        sockets.close(self.fd)
        self.fd = nil
    end
end

--- Sends all of `bytes`.
---@param bytes string
function connection:send(bytes)
    while #bytes > 0 do
        local sent = assert(sockets.send(self.fd, bytes, #bytes), "the client has closed")
        bytes = bytes:sub(sent + 1)
        if #bytes > 0 then
            local wanted = { { fd = self.fd, events = sockets.POLLOUT } }
            sockets.poll(wanted, patience)
            assert(wanted[1].revents ~= 0, "the client does not read")
        end
    end
end

--- Waits until the client has closed its side.
function connection:wait_for_close()
    local wanted = { { fd = self.fd, events = sockets.POLLIN } }
    sockets.poll(wanted, patience)
    assert(wanted[1].revents ~= 0 and sockets.receive(self.fd) == nil, "the client has not closed")
end

--- Closes; what was sent is still delivered.
function connection:close()
    if self.fd then
        sockets.close(self.fd)
        self.fd = nil
    end
end

--- Closes with a reset.
function connection:reset()
    sockets.reset(self.fd)
    self.fd = nil
end

return line_server
