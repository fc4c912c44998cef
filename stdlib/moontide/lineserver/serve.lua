--- The serving side of the line server: one loop that accepts clients and sends each of them the whole text.
---
--- Lines are never sent one by one. The text is in memory once, with the position of each line's end; a client's
--- progress is a line number to be reached and a byte position, and what lies between goes to the kernel in one
--- call. With a rate, the number to be reached grows with the clock in steps ("bursts").

local ffi = require "ffi"
local sockets = require "moontide.lineserver.sockets"
local process = require "moontide.lineserver.process"

local LIFE = 0 -- stdin: ends when the parent stops us, or is gone

local serve = {}

-- The text, and where each of its lines ends. A last line without an end counts as a line.
local function read_payload(content)
    local ends = {}
    local position = 1
    while true do
        local newline = content:find("\n", position, true)
        if not newline then
            break
        end
        ends[#ends + 1] = newline
        position = newline + 1
    end
    if position <= #content then
        ends[#ends + 1] = #content
    end
    -- `content` is kept: `bytes` points into it.
    return {
        content = content, bytes = ffi.cast("const char *", content), size = #content, lines = #ends, ends = ends,
    }
end

-- Bytes from the start of the endless repetition of the text to the end of its line `line`.
local function end_of_line(payload, line)
    if line == 0 then
        return 0
    end
    local rounds = math.floor(line / payload.lines)
    local rest = line - rounds * payload.lines
    return rounds * payload.size + (rest > 0 and payload.ends[rest] or 0)
end

local client = {}
client.__index = client

local function new_client(fd, settings, payload)
    return setmetatable({
        fd = fd,
        settings = settings,
        payload = payload,
        started = sockets.clock(),
        burst = 0,       -- bursts that became due
        reached = 0,     -- lines that may be sent by now
        limit = 0,       -- the same in bytes
        sent = 0,        -- bytes the kernel has taken
        mark = "",       -- what is left of the mark before the burst
        backlog = {},    -- marks: bursts that are due but wait for the one before: { due, lines }
    }, client)
end

local function lines_after(settings, bursts)
    if settings.rate == 0 then
        return settings.count
    end
    return math.min(settings.count, math.floor(bursts * settings.rate * settings.interval + 1e-6))
end

-- Adds the bursts that are due by `now`. The first is due at once.
function client:advance(now)
    local settings = self.settings
    while self.reached < settings.count do
        local due = self.started + self.burst * settings.interval
        if due > now then
            return
        end
        self.burst = self.burst + 1
        local reached = lines_after(settings, self.burst)
        if settings.marks and reached > self.reached then
            self.backlog[#self.backlog + 1] = { due = due, lines = reached }
        end
        self.reached = reached
    end
end

-- Seconds until the next burst, or nil when everything is due already.
function client:next_due(now)
    if self.reached >= self.settings.count then
        return nil
    end
    return math.max(0, self.started + self.burst * self.settings.interval - now)
end

-- With marks one burst at a time: its mark first, then its lines.
function client:next_burst()
    if not self.settings.marks then
        self.limit = end_of_line(self.payload, self.reached)
    elseif self.mark == "" and self.sent >= self.limit and self.backlog[1] then
        local burst = table.remove(self.backlog, 1)
        self.mark = ("@%.0f\n"):format(burst.due * 1e6)
        self.limit = end_of_line(self.payload, burst.lines)
    end
end

function client:wants_to_send()
    self:next_burst()
    return self.mark ~= "" or self.sent < self.limit
end

-- Sends until the kernel takes no more or nothing is due; false when the client is gone.
function client:send()
    local payload = self.payload
    while self:wants_to_send() do
        local sent
        if self.mark ~= "" then
            sent = sockets.send(self.fd, self.mark, #self.mark)
            self.mark = self.mark:sub((sent or 0) + 1)
        else
            local offset = self.sent % payload.size
            local size = math.min(self.limit - self.sent, payload.size - offset)
            sent = sockets.send(self.fd, payload.bytes + offset, size)
            self.sent = self.sent + (sent or 0)
        end
        if not sent then
            return false
        elseif sent == 0 then
            return true
        end
    end
    return true
end

function client:finished()
    return self.reached >= self.settings.count and not self:wants_to_send()
end

local function fail(message)
    process.tell_parent("error " .. message)
    return nil
end

local function load_payload(settings)
    local content = settings.text
    if settings.file then
        local file, err = io.open(settings.file, "rb")
        if not file then
            return fail("cannot read the text: " .. err)
        end
        content = file:read("*a")
        file:close()
    elseif not content then
        content = require("moontide.lineserver.text").varied(20000, settings.seed)
    end
    return read_payload(content)
end

-- One client's turn after polling; true when it has left or was let go.
local function attend(self, revents)
    if bit.band(revents, bit.bor(sockets.POLLIN, sockets.POLLHUP)) ~= 0 and sockets.receive(self.fd) == nil then
        sockets.close(self.fd)
        process.tell_parent("left")
        return true
    end
    if not self:send() then
        sockets.close(self.fd)
        process.tell_parent("left")
        return true
    end
    if self:finished() and not self.told then
        self.told = true
        process.tell_parent(("sent %.0f %.0f"):format(self.reached, self.sent))
        if not self.settings.keep then
            sockets.close(self.fd)
            return true
        end
    end
    return false
end

--- Serves until stdin ends, or until `settings.clients` clients have been served. Prints `port N`, then an event a
--- line.
---@param settings table as made by `moontide.lineserver`
function serve.run(settings)
    process.never_wait_for_parent()
    local payload = load_payload(settings)
    if not payload then
        return
    end
    settings.count = settings.count or (settings.endless and math.huge) or payload.lines
    if payload.lines == 0 then
        settings.count = 0
    end

    local listener, port = sockets.listen(settings.host, settings.port)
    if not listener then
        return fail(port)
    end
    process.tell_parent("port " .. port)

    local clients, served = {}, 0
    while not settings.clients or served < settings.clients or #clients > 0 do
        local now = sockets.clock()
        local timeout = -1
        local accepting = not settings.clients or served < settings.clients
        local wanted = { { fd = LIFE, events = sockets.POLLIN },
            { fd = listener, events = accepting and sockets.POLLIN or 0 } }
        for _, each in ipairs(clients) do
            each:advance(now)
            local sending = each:wants_to_send()
            wanted[#wanted + 1] = { fd = each.fd, events = sockets.POLLIN + (sending and sockets.POLLOUT or 0) }
            local due = each:finished() and not each.told and 0 or each:next_due(now)
            if due and (timeout < 0 or due < timeout) then
                timeout = due
            end
        end
        sockets.poll(wanted, timeout)
        if wanted[1].revents ~= 0 then
            break
        end

        now = sockets.clock()
        local staying = {}
        for index, each in ipairs(clients) do
            each:advance(now)
            if not attend(each, wanted[index + 2].revents) then
                staying[#staying + 1] = each
            end
        end
        clients = staying

        local fd = wanted[2].revents ~= 0 and sockets.accept(listener)
        if fd then
            served = served + 1
            clients[#clients + 1] = new_client(fd, settings, payload)
            process.tell_parent(("client %.0f"):format(sockets.clock() * 1e6))
        end
    end
    for _, each in ipairs(clients) do
        sockets.close(each.fd)
    end
end

return serve
