-- Runs programs for a spec and tells what they printed and how they ended.
--
--     local shell = require "spec.support.shell"
--     local result = shell.run("echo hello; exit 3")          --> { out = "hello\n", err = "", code = 3 }
--     local result = shell.moontide({ "run", "job.lua" })     -- the program under test, arguments quoted
--
--     local server = shell.start("nc -l 9999")                -- in the background
--     server:read_line(); server:signal("INT")
--     local result = server:wait()
--
-- The program under test is the one `make test` built (MOONTIDE_BIN), else build/bin/moontide. Nothing here polls:
-- waiting is reading a pipe until its end. A spec that waits for ever is killed by spec/run.lua with all it started.

local tempdir = require "spec.support.tempdir"

local shell = {}

--- The path of the program under test.
shell.program = os.getenv("MOONTIDE_BIN") or "build/bin/moontide"

local process = {}
process.__index = process

--- `text` as one word of a shell command.
---@param text string|number
---@return string
function shell.quote(text)
    return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

--- A command from its words, each quoted.
---@param words (string|number)[]
---@return string
function shell.command(words)
    local quoted = {}
    for index, word in ipairs(words) do
        quoted[index] = shell.quote(word)
    end
    return table.concat(quoted, " ")
end

-- A subshell, so that `exit`, `cd` and redirections inside the command stay inside.
local function wrap(command, dir, options)
    local lines = { "cd " .. shell.quote(options.cwd or ".") .. " || exit 126" }
    for name, value in pairs(options.env or {}) do
        lines[#lines + 1] = "export " .. name .. "=" .. shell.quote(value)
    end
    lines[#lines + 1] = command
    local script = dir:write("command.sh", table.concat(lines, "\n") .. "\n")
    local input = options.input and dir:write("stdin", options.input) or "/dev/null"
    return script, input
end

-- What the specs expect of programs takes several times as long while garbage is collected at every step.
local PATIENCE = (os.getenv("MOONTIDE_GCSTRESS") or "") ~= "" and 10 or 1

--- Runs a shell command to its end. It is killed after `timeout` seconds (default 60), which gives the exit code 124;
--- a program that died of signal n gives 128 + n.
---@param command string for /bin/sh
---@param options? { input: string?, timeout: number?, cwd: string?, env: table<string, string>? }
---@return { out: string, err: string, code: integer }
function shell.run(command, options)
    options = options or {}
    local dir = tempdir.new()
    local script, input = wrap(command, dir, options)
    os.execute(string.format("timeout -k 5 %s sh %s <%s >%s 2>%s; echo $? >%s", (options.timeout or 60) * PATIENCE,
        shell.quote(script), shell.quote(input), shell.quote(dir:file("out")), shell.quote(dir:file("err")),
        shell.quote(dir:file("code"))))
    local result = { out = dir:read("out"), err = dir:read("err"), code = tonumber(dir:read("code")) }
    dir:remove()
    return result
end

--- Runs the program under test to its end.
---@param arguments (string|number)[]
---@param options? table as for `shell.run`
---@return { out: string, err: string, code: integer }
function shell.moontide(arguments, options)
    return shell.run(shell.quote(shell.program) .. " " .. shell.command(arguments), options)
end

--- Starts a command in the background; `wait` has to be called on what it returns. The command is one program with
--- its arguments: it replaces the shell, so that signals reach it. (SIGINT is ignored in it until it installs a
--- handler: that is how the shell starts background programs.)
---@param command string for /bin/sh
---@param options? { input: string?, cwd: string?, env: table<string, string>? }
---@return table process with its `pid`
function shell.start(command, options)
    options = options or {}
    local dir = tempdir.new()
    local script, input = wrap("exec " .. command, dir, options)
    -- The program's own process tells its number before it becomes the program: nothing can come before that line.
    local pipe = assert(io.popen(string.format("sh -c 'echo $$; exec sh \"$0\"' %s <%s 2>%s & "
        .. "exec 2>/dev/null; wait $!; printf '\\004exit %%d' $?", shell.quote(script), shell.quote(input),
        shell.quote(dir:file("err"))), "r"))
    local pid = tonumber(pipe:read("*l"))
    return setmetatable({ pid = assert(pid, "the shell did not start"), pipe = pipe, dir = dir, seen = {} }, process)
end

--- The next line the program prints on stdout, waiting for it; nil when the program has ended.
---@return string?
function process:read_line()
    local line = self.pipe:read("*L")
    if not line then
        return nil
    end
    self.seen[#self.seen + 1] = line
    -- What the shell adds at the end has no line end, and stands behind an unterminated last line of the program.
    local text = line:match("^(.*)\n$") or line:match("^(.+)\004exit %d+$")
    return text
end

--- Sends a signal, e.g. "INT", "TERM", "KILL".
---@param name string
function process:signal(name)
    assert(os.execute(string.format("kill -s %s %d", name, self.pid)) == 0, "the process has ended already")
end

--- Waits for the end. `out` has everything from stdout, also what `read_line` returned.
---@return { out: string, err: string, code: integer }
function process:wait()
    self.seen[#self.seen + 1] = self.pipe:read("*a")
    self.pipe:close()
    local out, code = table.concat(self.seen):match("^(.*)\004exit (%d+)$")
    local result = { out = out, err = self.dir:read("err") or "", code = tonumber(code) }
    self.dir:remove()
    return result
end

return shell
