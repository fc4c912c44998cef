--- Commands of the system that records pass through (rdd:pipe). The input is written to a file first, so that the output can be read while
--- the command works, in whatever order it reads its input. host/task/command.h runs and ends commands.

local fast = require "moontide.wire.ffi"
local failure = require "moontide.worker.failure"
local text_form = require "moontide.base.text_form"

local ffi, C = fast.ffi, fast.C
local process = {}

local BROKEN_OFF, NOMEM = C.TIDE_COMMAND_BROKEN_OFF, C.TIDE_COMMAND_NOMEM

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

--- A command line of words that the shell takes as they are.
---@param words string[]
---@return string
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
    if file == nil then
        error("pipe: a temporary file can't be opened: " .. why, 0)
    end
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
    if not closed then
        error("pipe: the input of the command can't be written: " .. why, 0)
    end
end

local function ending(status)
    if status == BROKEN_OFF then
        return "was broken off"
    end
    return "ended with status " .. status
end

--- Runs a command on the records of an iterator, one line each; an iterator over the lines it writes. It is ended, with all that
--- it started, when the task is over.
---@param command string for /bin/sh
---@param env table<string, string|number>?
---@param it fun(): any, any
---@return fun(): string?
function process.pipe(command, env, it)
    local input = os.tmpname()
    local ok, err = pcall(write_records, input, it)
    if not ok then
        os.remove(input)
        error(err, 0)
    end
    local why = ffi.new("char[?]", 256)
    local number = C.tide_command_start(exports(env) .. command, input, why, 256)
    if number == 0 then
        os.remove(input)
        error(("pipe: the command %s can't be run: %s"):format(command, ffi.string(why)), 0)
    end
    local length, status = ffi.new("size_t[1]"), ffi.new("int[1]")
    local ended = false
    return function()
        if ended then
            return nil
        end
        local text = C.tide_command_line(number, length, status)
        if text ~= nil then
            return ffi.string(text, length[0])
        end
        ended = true
        if status[0] == NOMEM then
            failure.no_memory()
        end
        if status[0] ~= 0 then
            error(("pipe: the command %s %s"):format(command, ending(status[0])), 0)
        end
        return nil
    end
end

return process
