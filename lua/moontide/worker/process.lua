--- Commands of the system that records pass through (rdd:pipe). The input is written to a file first, so that the command
--- can be read from while it works, whatever it does with its input.

local declare = require "moontide.declare"
local ffi = require "ffi"
local text_form = require "moontide.text_form"

local process = {}

declare.cdef "int pthread_sigmask(int how, const void *set, void *before);"

local SIG_SETMASK = 2
local MASK_BYTES = 128 -- a sigset_t, as the C library has it

-- Starts a command that takes signals as usual. Threads of workers have them blocked (host/thread/thread.h), and what they start
-- would inherit that: it would not end when nobody reads its output any more, nor at Ctrl-C.
local function start(line)
    local none, before = ffi.new("char[?]", MASK_BYTES), ffi.new("char[?]", MASK_BYTES)
    ffi.C.pthread_sigmask(SIG_SETMASK, none, before)
    local output, why = io.popen(line, "r")
    ffi.C.pthread_sigmask(SIG_SETMASK, before, nil)
    return output, why
end

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

--- A command line of words that the shell takes as they are.
--- @param words string[]
--- @return string
function process.quoted(words)
    local parts = {}
    for at, word in ipairs(words) do parts[at] = quote(word) end
    return table.concat(parts, " ")
end

local function exports(env)
    local names, parts = {}, {}
    for name in pairs(env or {}) do names[#names + 1] = name end
    table.sort(names)
    for at, name in ipairs(names) do parts[at] = ("export %s=%s; "):format(name, quote(text_form.value(env[name]))) end
    return table.concat(parts)
end

local function open(name, mode)
    local file, why = io.open(name, mode)
    if file == nil then error("pipe: a temporary file can't be opened: " .. why, 0) end
    return file
end

local function write_records(name, it)
    local file = open(name, "w")
    for a, b in it do
        local written, why = file:write(text_form.record(a, b), "\n")
        if not written then
            file:close()
            error("pipe: the input of the command can't be written: " .. why, 0)
        end
    end
    local closed, why = file:close()
    if not closed then error("pipe: the input of the command can't be written: " .. why, 0) end
end

-- LuaJIT does not tell how a command ended, so it writes that to a file itself.
local function check_status(name, command)
    local file = open(name, "r")
    local status = file:read("*l")
    file:close()
    if status == "0" then return end
    error(("pipe: the command %s %s"):format(command, status and "ended with status " .. status or "was broken off"), 0)
end

--- Runs a command on the records of an iterator, one line each; an iterator over the lines it writes.
--- @param command string for /bin/sh
--- @param env table<string, string|number>?
--- @param it fun(): any, any
--- @return fun(): string?
function process.pipe(command, env, it)
    local input, status = os.tmpname(), os.tmpname()
    local function remove()
        os.remove(input)
        os.remove(status)
    end
    local ok, err = pcall(write_records, input, it)
    if not ok then
        remove()
        error(err, 0)
    end
    -- The input goes as soon as it is open: nothing of it stays when this process ends before the command does.
    local line = ("exec < %s; rm -f %s; %s( %s\n); echo $? > %s"):format(quote(input), quote(input), exports(env), command,
        quote(status))
    local output, why = start(line)
    if output == nil then
        remove()
        error(("pipe: the command %s can't be run: %s"):format(command, why), 0)
    end
    -- When the reader gives up early, the collector closes and removes.
    local guard = newproxy(true)
    getmetatable(guard).__gc = function()
        if output then
            output:close()
            remove()
        end
    end
    return function()
        if output == nil or guard == nil then return nil end
        local text = output:read("*l")
        if text ~= nil then return text end
        output:close()
        output = nil
        local checked, failure = pcall(check_status, status, command)
        remove()
        guard = nil
        if not checked then error(failure, 0) end
        return nil
    end
end

return process
