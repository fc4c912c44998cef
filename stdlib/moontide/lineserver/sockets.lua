--- TCP sockets of the C library, as far as the line server needs them: listening on IPv4, accepting, sending without
--- waiting, and waiting for several descriptors at once. Linux.
---
--- The declarations carry names of their own and point at the C library's symbols, so that they never meet those of
--- another module that declared the same functions.

local ffi = require "ffi"

if ffi.os ~= "Linux" then
    error("moontide.lineserver needs Linux: its sockets are declared for that system only", 2)
end

ffi.cdef [[
struct moontide_ls_pollfd { int fd; short events; short revents; };
struct moontide_ls_address { uint16_t family, port; uint32_t host; uint8_t zero[8]; };
struct moontide_ls_timespec { int64_t seconds; long nanoseconds; };
struct moontide_ls_linger { int on, seconds; };

int moontide_ls_socket(int, int, int) __asm__("socket");
int moontide_ls_bind(int, const struct moontide_ls_address *, uint32_t) __asm__("bind");
int moontide_ls_listen(int, int) __asm__("listen");
int moontide_ls_accept(int, void *, void *, int) __asm__("accept4");
int moontide_ls_name(int, struct moontide_ls_address *, uint32_t *) __asm__("getsockname");
int moontide_ls_option(int, int, int, const void *, uint32_t) __asm__("setsockopt");
int moontide_ls_pton(int, const char *, void *) __asm__("inet_pton");
long moontide_ls_send(int, const void *, size_t, int) __asm__("send");
long moontide_ls_recv(int, void *, size_t, int) __asm__("recv");
int moontide_ls_shutdown(int, int) __asm__("shutdown");
int moontide_ls_close(int) __asm__("close");
int moontide_ls_poll(struct moontide_ls_pollfd *, unsigned long, int) __asm__("poll");
int moontide_ls_clock(int, struct moontide_ls_timespec *) __asm__("clock_gettime");
char *moontide_ls_error(int) __asm__("strerror");
]]

local C = ffi.C

local AF_INET, SOCK_STREAM, SOCK_CLOEXEC, SOCK_NONBLOCK = 2, 1, 0x80000, 0x800
local SOL_SOCKET, SO_REUSEADDR, SO_LINGER, IPPROTO_TCP, TCP_NODELAY = 1, 2, 13, 6, 1
local MSG_NOSIGNAL, MSG_DONTWAIT, SHUT_WR = 0x4000, 0x40, 1
local EINTR, EAGAIN, CLOCK_MONOTONIC = 4, 11, 1
local POLLIN, POLLOUT, POLLHUP = 1, 4, 16

local sockets = { POLLIN = POLLIN, POLLOUT = POLLOUT, POLLHUP = POLLHUP }

local function failed(what)
    return nil, what .. ": " .. ffi.string(C.moontide_ls_error(ffi.errno()))
end

local now = ffi.new "struct moontide_ls_timespec"

--- Seconds of the monotonic clock, the same in all processes of the machine, to the microsecond.
---@return number
function sockets.clock()
    C.moontide_ls_clock(CLOCK_MONOTONIC, now)
    return tonumber(now.seconds) + tonumber(now.nanoseconds) / 1e9
end

local flag = ffi.new("int[1]", 1)

--- Listens on an IPv4 address.
---@param host string an address such as "127.0.0.1"
---@param port integer 0 = a free one
---@return integer? fd
---@return integer|string port or what went wrong
function sockets.listen(host, port)
    local address = ffi.new "struct moontide_ls_address"
    address.family = AF_INET
    address.port = bit.bor(bit.lshift(bit.band(port, 0xff), 8), bit.rshift(port, 8))
    local host_bytes = ffi.new "uint32_t[1]"
    if C.moontide_ls_pton(AF_INET, host, host_bytes) ~= 1 then
        return nil, "'" .. host .. "' is not an IPv4 address"
    end
    address.host = host_bytes[0]

    local fd = C.moontide_ls_socket(AF_INET, SOCK_STREAM + SOCK_CLOEXEC + SOCK_NONBLOCK, 0)
    if fd < 0 then
        return failed("cannot make a socket")
    end
    C.moontide_ls_option(fd, SOL_SOCKET, SO_REUSEADDR, flag, 4)
    local size = ffi.new("uint32_t[1]", ffi.sizeof(address))
    if C.moontide_ls_bind(fd, address, ffi.sizeof(address)) ~= 0 or C.moontide_ls_listen(fd, 16) ~= 0
        or C.moontide_ls_name(fd, address, size) ~= 0 then
        local _, message = failed(("cannot listen on %s:%d"):format(host, port))
        C.moontide_ls_close(fd)
        return nil, message
    end
    return fd, bit.bor(bit.lshift(bit.band(address.port, 0xff), 8), bit.rshift(address.port, 8))
end

--- Takes one connection that waits at a listening descriptor; the new descriptor does not block.
---@param listener integer
---@return integer? fd nil when none waits
function sockets.accept(listener)
    local fd = C.moontide_ls_accept(listener, nil, nil, SOCK_CLOEXEC + SOCK_NONBLOCK)
    if fd < 0 then
        return nil
    end
    C.moontide_ls_option(fd, IPPROTO_TCP, TCP_NODELAY, flag, 4)
    return fd
end

--- Sends as much as the kernel takes at once.
---@param fd integer
---@param data ffi.cdata*|string
---@param size integer bytes
---@return integer? sent bytes taken, 0 when the kernel's buffer is full; nil when the other side is gone
function sockets.send(fd, data, size)
    local sent = tonumber(C.moontide_ls_send(fd, data, size, MSG_NOSIGNAL))
    if sent >= 0 then
        return sent
    end
    local code = ffi.errno()
    return (code == EAGAIN or code == EINTR) and 0 or nil
end

local scratch_size = 65536
local scratch = ffi.new("char[?]", scratch_size)

--- What the other side sent.
---@param fd integer
---@return string? bytes "" when nothing is there yet; nil when the other side has closed
function sockets.receive(fd)
    local got = tonumber(C.moontide_ls_recv(fd, scratch, scratch_size, MSG_DONTWAIT))
    if got > 0 then
        return ffi.string(scratch, got)
    elseif got == 0 then
        return nil
    end
    local code = ffi.errno()
    return (code == EAGAIN or code == EINTR) and "" or nil
end

--- Closes; what was sent is still delivered.
---@param fd integer
function sockets.close(fd)
    C.moontide_ls_shutdown(fd, SHUT_WR)
    C.moontide_ls_close(fd)
end

--- Closes with a reset: the other side gets an error instead of an end.
---@param fd integer
function sockets.reset(fd)
    local linger = ffi.new("struct moontide_ls_linger", 1, 0)
    C.moontide_ls_option(fd, SOL_SOCKET, SO_LINGER, linger, ffi.sizeof(linger))
    C.moontide_ls_close(fd)
end

local poll_capacity = 0
local poll_set

--- Waits until one of the descriptors is ready.
---@param wanted { fd: integer, events: integer }[] `revents` is filled in
---@param timeout number seconds, negative = for ever
function sockets.poll(wanted, timeout)
    if #wanted > poll_capacity then
        poll_capacity = #wanted * 2
        poll_set = ffi.new("struct moontide_ls_pollfd[?]", poll_capacity)
    end
    for index, entry in ipairs(wanted) do
        poll_set[index - 1].fd, poll_set[index - 1].events = entry.fd, entry.events
        poll_set[index - 1].revents = 0
    end
    C.moontide_ls_poll(poll_set, #wanted, timeout < 0 and -1 or math.ceil(timeout * 1000))
    for index, entry in ipairs(wanted) do
        entry.revents = poll_set[index - 1].revents
    end
end

return sockets
