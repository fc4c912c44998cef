--- Starts a second process of the running program, hands it a Lua script, and ties its life to ours.
---
--- The program is /proc/self/exe: `moontide`, or a stock `luajit`. The child reads its script from a file in memory
--- (descriptor 3), talks to us over its stdout, and holds the reading end of a pipe as its stdin: when that closes
--- (we stopped it, or we ended, no matter how), it has to leave. It is in a process group of its own, so Ctrl-C in
--- the terminal reaches only us.

local ffi = require "ffi"

ffi.cdef [[
typedef struct { uint64_t opaque[64]; } moontide_ls_actions;    /* larger than any C library's */
typedef struct { uint64_t opaque[64]; } moontide_ls_attributes;

int moontide_ls_spawn(int *, const char *, const moontide_ls_actions *, const moontide_ls_attributes *,
                      const char *const *, char *const *) __asm__("posix_spawn");
int moontide_ls_actions_init(moontide_ls_actions *) __asm__("posix_spawn_file_actions_init");
int moontide_ls_actions_dup(moontide_ls_actions *, int, int) __asm__("posix_spawn_file_actions_adddup2");
int moontide_ls_actions_free(moontide_ls_actions *) __asm__("posix_spawn_file_actions_destroy");
int moontide_ls_attributes_init(moontide_ls_attributes *) __asm__("posix_spawnattr_init");
int moontide_ls_attributes_flags(moontide_ls_attributes *, short) __asm__("posix_spawnattr_setflags");
int moontide_ls_attributes_group(moontide_ls_attributes *, int) __asm__("posix_spawnattr_setpgroup");
int moontide_ls_attributes_free(moontide_ls_attributes *) __asm__("posix_spawnattr_destroy");
extern char **moontide_ls_environ __asm__("environ");

int moontide_ls_pipe(int *, int) __asm__("pipe2");
int moontide_ls_memory_file(const char *, unsigned) __asm__("memfd_create");
long moontide_ls_read(int, void *, size_t) __asm__("read");
long moontide_ls_write(int, const void *, size_t) __asm__("write");
int moontide_ls_kill(int, int) __asm__("kill");
int moontide_ls_wait(int, int *, int) __asm__("waitpid");
long moontide_ls_readlink(const char *, char *, size_t) __asm__("readlink");
int moontide_ls_fcntl(int, int, ...) __asm__("fcntl");
const char *moontide_ls_version(void) __asm__("tide_version");
]]

local sockets = require "moontide.lineserver.sockets"
local C = ffi.C

local O_CLOEXEC, MFD_CLOEXEC, F_SETFL, O_NONBLOCK, EINTR = 0x80000, 1, 4, 0x800, 4
local SPAWN_SETPGROUP, SIGKILL = 2, 9

local process = {}
process.__index = process

local function error_text(code)
    return ffi.string(C.moontide_ls_error(code))
end

-- The program exports the C API, a stock luajit does not know it.
local function is_moontide()
    return (pcall(function() return C.moontide_ls_version() end))
end

local function own_path()
    local size = 4096
    local buffer = ffi.new("char[?]", size)
    local length = tonumber(C.moontide_ls_readlink("/proc/self/exe", buffer, size))
    return length > 0 and ffi.string(buffer, length) or nil
end

local function open_pipe(open)
    local ends = ffi.new "int[2]"
    if C.moontide_ls_pipe(ends, O_CLOEXEC) ~= 0 then
        return nil
    end
    open[#open + 1], open[#open + 2] = ends[0], ends[1]
    return ends[0], ends[1]
end

local function close_all(open)
    for _, fd in ipairs(open) do
        C.moontide_ls_close(fd)
    end
end

-- A file that exists only in memory. Unlike a pipe it can be opened by its path and read more than once.
local function memory_file(content, open)
    local fd = C.moontide_ls_memory_file("moontide", MFD_CLOEXEC)
    if fd < 0 then
        return nil
    end
    open[#open + 1] = fd
    return tonumber(C.moontide_ls_write(fd, content, #content)) == #content and fd or nil
end

--- Starts this program again with a script.
---@param script string Lua source
---@return table? process with its `pid`
---@return string? err
function process.start(script)
    local path = own_path()
    if not path then
        return nil, "cannot start a second process: /proc/self/exe cannot be read"
    end
    local open = {}
    local life_read, life_write = open_pipe(open)
    local out_read, out_write = open_pipe(open)
    local script_file = memory_file(script, open)
    if not (life_read and out_read and script_file) then
        local message = error_text(ffi.errno())
        close_all(open)
        return nil, "cannot start a second process: no pipe or file in memory: " .. message
    end

    local actions, attributes = ffi.new "moontide_ls_actions", ffi.new "moontide_ls_attributes"
    C.moontide_ls_actions_init(actions)
    C.moontide_ls_actions_dup(actions, life_read, 0)
    C.moontide_ls_actions_dup(actions, out_write, 1)
    C.moontide_ls_actions_dup(actions, script_file, 3)
    C.moontide_ls_attributes_init(attributes)
    C.moontide_ls_attributes_flags(attributes, SPAWN_SETPGROUP)
    C.moontide_ls_attributes_group(attributes, 0)

    local words = is_moontide() and { path, "run", "/dev/fd/3" } or { path, "/dev/fd/3" }
    local argv = ffi.new("const char *[?]", #words + 1) -- zeroed, so NULL ends it; an initialiser would not do that
    for index, word in ipairs(words) do
        argv[index - 1] = word
    end
    local pid = ffi.new "int[1]"
    local code = C.moontide_ls_spawn(pid, path, actions, attributes, argv, C.moontide_ls_environ)
    C.moontide_ls_actions_free(actions)
    C.moontide_ls_attributes_free(attributes)
    if code ~= 0 then
        close_all(open)
        return nil, "cannot start " .. path .. ": " .. error_text(code)
    end
    close_all({ life_read, out_write, script_file })
    return setmetatable({ pid = pid[0], life = life_write, out = out_read, rest = "" }, process)
end

--- The next line of the child's stdout.
---@param timeout? number seconds, default: wait for it
---@return string? line
---@return string? why "timeout" or "ended"
function process:read_line(timeout)
    local deadline = timeout and sockets.clock() + timeout
    local size = 4096
    local buffer = ffi.new("char[?]", size)
    while true do
        local line, rest = self.rest:match("^([^\n]*)\n(.*)$")
        if line then
            self.rest = rest
            return line
        elseif not self.out then
            return nil, "ended"
        end
        local left = deadline and math.max(0, deadline - sockets.clock()) or -1
        local wanted = { { fd = self.out, events = sockets.POLLIN } }
        sockets.poll(wanted, left)
        if wanted[1].revents ~= 0 then
            local got = tonumber(C.moontide_ls_read(self.out, buffer, size))
            if got > 0 then
                self.rest = self.rest .. ffi.string(buffer, got)
            elseif got == 0 or ffi.errno() ~= EINTR then
                C.moontide_ls_close(self.out)
                self.out = nil
            end
        elseif deadline and sockets.clock() >= deadline then
            return nil, "timeout"
        end
    end
end

local function reap(self)
    if self.pid then
        local status = ffi.new "int[1]"
        while C.moontide_ls_wait(self.pid, status, 0) < 0 and ffi.errno() == EINTR do end
        self.pid = nil
    end
end

local function close_ends(self)
    for _, name in ipairs({ "life", "out" }) do
        if self[name] then
            C.moontide_ls_close(self[name])
            self[name] = nil
        end
    end
end

--- Ends the child at once, as `kill -9` does.
function process:kill()
    if self.pid then
        C.moontide_ls_kill(self.pid, SIGKILL)
        close_ends(self)
        reap(self)
    end
end

--- Asks the child to leave and waits for its end, killing it after `timeout` seconds (default 5).
---@param timeout? number
function process:stop(timeout)
    if not self.pid then
        return
    end
    C.moontide_ls_close(self.life)
    self.life = nil
    local deadline = sockets.clock() + (timeout or 5)
    repeat
        local line, why = self:read_line(math.max(0, deadline - sockets.clock()))
    until not line and (why == "ended" or why == "timeout")
    if self.out then
        return self:kill()
    end
    reap(self)
end

--- In the child: makes what it prints never wait for a parent that does not read.
function process.never_wait_for_parent()
    C.moontide_ls_fcntl(1, F_SETFL, ffi.cast("int", O_NONBLOCK))
end

--- In the child: tells the parent one line; lost when the parent does not read and the pipe is full.
---@param line string
function process.tell_parent(line)
    C.moontide_ls_write(1, line .. "\n", #line + 1)
end

return process
