--- The command line: `moontide run script.lua`, `moontide version`, `moontide help`. Called by host/main.c; gives the exit
--- code. 0: fine; 1: the script or a job failed; 2: wrong usage.

local check = require "moontide.base.check"
local conf = require "moontide.base.conf"
local duration = require "moontide.base.duration"
local errors = require "moontide.base.errors"

local cli = {}

local OK, FAILED, USAGE = 0, 1, 2

local SUMMARY = [[
Moontide: live data in small batches, processed with Lua functions on all cores.

usage: moontide <command> [arguments]

commands:
  run [options] script.lua [arguments]   runs a script
  version                                prints the version
  help [command | conf]                  explains a command, or lists the settings

A script to begin with, examples/network_wordcount.lua, counts the words of a TCP socket:
  nc -lk 9999
  moontide run examples/network_wordcount.lua localhost 9999
]]

local HELP = {
    run = [[
usage: moontide run [options] script.lua [arguments]

Runs a Lua script that uses `require "moontide"`. What follows the script's name is in its `arg`, and in `...`.

options, which override what the script says:
  --master MASTER     where to run: local, local[N] (N workers, 1 to 1024) or local[*] (default: one for each core)
  --name NAME         name of the application, default the script's name
  --conf KEY=VALUE    a setting, may be repeated; `moontide help conf` lists them
  --log-level LEVEL   least important messages written to stderr: debug, info, warn (default), error or off
  --supervise         starts the script again when it crashes; see below
  --                  ends the options
  -h, --help          this text

Options may be written --master=local[2] too. Settings may also come from environment variables (moontide help conf).

SIGINT, SIGTERM and SIGHUP stop gracefully: what was received is still processed. A second one stops at once. (Under nohup,
SIGHUP is ignored.)

exit code: 0 fine, 1 the script or a batch failed, 2 wrong usage

Under --supervise a process of its own runs the script, and another one watches it. When the script is ended by a signal or
with an exit code other than 0, it is started again, after a wait that doubles from start to start; stderr tells why, and when.
It is not started again after exit code 0; when it was stopped by SIGINT, SIGTERM or SIGHUP, sent to either process; after exit
code 2, as wrong usage stays wrong; when nobody reads its output any more. A script that is missing or does not compile is not
started at all, unless that happens between two starts, when it may just be on its way. The exit code is the script's last one,
or 128 + the number of the signal that ended it; stdin, stdout and stderr are the script's. If the watching process is killed,
so is the script. (examples/moontide.service is a unit for systemd.)

options of --supervise, each of which implies it:
  --supervise-wait TIME       before the first restart, default 1s
  --supervise-max-wait TIME   the longest wait, also the first; default 60s. After a run as long as this the waits begin anew
  --supervise-limit N/TIME    gives up after N restarts (1 to 1000) within a time, default 10/10min; none: never
]],
    version = [[
usage: moontide version

Prints the version.
]],
    help = [[
usage: moontide help [command | conf]

Explains a command; `moontide help conf` lists the settings of an engine: what each is for, its default, its unit, and its
environment variable.
]],
}

local CONF_HEAD = [[
Settings of an engine. They can be given in three places; the first of these goes before the others:

  on the command line   moontide run --conf socket.maxLine=64kb job.lua
  in the script         moontide.Context{ conf = { ["socket.maxLine"] = "64kb" } }
  in the environment    MOONTIDE_SOCKET_MAX_LINE=64kb moontide run job.lua

The environment variable of a setting is MOONTIDE_ and its name in capitals, with _ between words and instead of dots. A name
that is not in this list is refused, with the nearest one that is; so is a value that does not fit. In the environment, others
have names that begin with MOONTIDE_ too (a service in Kubernetes): there only a slip in a name of the list is refused.
A duration is a number of milliseconds, or a number with a unit: 250ms, 5s, 2min, 1h. A size is a number of bytes, or a number
with a unit: 64kb, 1mb, 2gb (1kb is 1024 bytes).

]]

local COMMANDS = { "run", "version", "help" }
local RUN_OPTIONS = { "--master", "--name", "--conf", "--log-level", "--supervise", "--supervise-wait", "--supervise-max-wait",
    "--supervise-limit", "--help" }

local function complain(...)
    io.stderr:write("moontide: ", string.format(...), "\n")
    io.stderr:flush()
end

-- A usage error: what is wrong, and where to read how it is right.
local function usage(hint, ...)
    complain(...)
    io.stderr:write("Try '", hint, "'.\n")
    return USAGE
end

local function write(text)
    io.stdout:write(text)
    io.stdout:flush()
    return OK
end

-- Options of run ----------------------------------------------------------------------------------------------------

local set = {}

set["--master"] = function(run, value)
    local workers, reason = require("moontide.context").workers(value)
    if not workers then
        return reason
    end
    run.master = value
end

set["--name"] = function(run, value)
    if value == "" then
        return "the name is empty"
    end
    run.name = value
end

set["--conf"] = function(run, value)
    local key, setting = conf.parse(value)
    if not key then
        return setting
    end
    if key == "master" then
        return set["--master"](run, setting)
    elseif key == "appName" then
        return set["--name"](run, setting)
    end
    run.conf[key] = setting
end

set["--log-level"] = function(run, value)
    local level, reason = conf.read("logLevel", value:lower())
    if not level then
        return (reason:gsub("^setting 'logLevel': ", ""))
    end
    run.conf.logLevel = level
end

-- The settings of --supervise; waits and the window in ms, 0 restarts: no limit.
local function supervision(run)
    run.supervise = run.supervise or { wait = 1000, mostWait = 60000, restarts = 10, window = 600000 }
    return run.supervise
end

local function set_wait(field)
    return function(run, value)
        local ms, reason = duration.parse(value)
        supervision(run)[field] = ms
        return ms == 0 and "the duration must be longer than 0 ms" or reason
    end
end

set["--supervise-wait"] = set_wait("wait")
set["--supervise-max-wait"] = set_wait("mostWait")

set["--supervise-limit"] = function(run, value)
    local how = supervision(run)
    if value == "none" then
        how.restarts = 0
        return
    end
    local count, time = value:match("^(%d+)/(.+)$")
    how.restarts = tonumber(count)
    if not how.restarts or how.restarts < 1 or how.restarts > 1000 then
        return ("restarts (1 to 1000) and a time, such as 10/10min, or none expected, got '%s'"):format(value)
    end
    local reason
    how.window, reason = duration.parse(time)
    return reason
end

-- Options without a value.
local flags = { ["--supervise"] = supervision }

-- Reads what follows `run`. Gives nil and an exit code when there is nothing to run.
local function parse_run(argv)
    local run = { conf = {} }
    local index = 2
    while argv[index] and argv[index]:sub(1, 1) == "-" and argv[index] ~= "-" do
        local word = argv[index]
        index = index + 1
        if word == "--" then
            break
        end
        local name, value = word:match("^(%-%-[%w%-]+)=(.*)$")
        name = name or word
        if name == "--help" or name == "-h" then
            return nil, write(HELP.run)
        end
        if flags[name] and value then
            return nil, usage("moontide help run", "the option %s takes no value", name)
        elseif not set[name] and not flags[name] then
            return nil, usage("moontide help run", "run has no option '%s'%s", name, check.suggestion(name, RUN_OPTIONS))
        end
        if flags[name] then
            flags[name](run)
        else
            if not value then
                value = argv[index]
                index = index + 1
                if not value then
                    return nil, usage("moontide help run", "the option %s needs a value", name)
                end
            end
            local reason = set[name](run, value)
            if reason then
                return nil, usage("moontide help run", "%s: %s", name, reason)
            end
        end
    end
    if not argv[index] then
        return nil, usage("moontide help run", "run: the name of the script is missing")
    end
    run.script_index = index
    return run
end

-- Running a script --------------------------------------------------------------------------------------------------

-- `arg` as the standalone interpreter has it: the script at 0, its arguments after it, the words before it below.
local function make_arg(argv, script_index)
    local result = {}
    for index = 0, #argv do
        result[index - script_index] = argv[index]
    end
    return result
end

-- The message with the traceback of the script's own frames.
local function handle_error(raised)
    local traceback = errors.trim_traceback((debug.traceback("", 2):gsub("^\n", "")))
    if errors.is(raised) and raised.traceback then
        return raised.message
    end
    return errors.join(errors.text(raised), traceback)
end

local function load_script(path)
    local file, reason = io.open(path, "rb")
    if not file then
        return nil, "cannot open the script " .. reason
    end
    local text, read_reason = file:read("*a")
    file:close()
    if not text then
        return nil, ("cannot read the script %s: %s"):format(path, read_reason or "not a file")
    end
    -- Read once: a pipe, as /dev/stdin may be one, is empty after that. loadfile passes over the mark of UTF-8 and a first
    -- line for the shell; of the latter the line end stays, for the numbers of the lines.
    text = text:gsub("^\239\187\191", ""):gsub("^#[^\n]*", "")
    local chunk, syntax_error = load(text, "@" .. path)
    if not chunk then
        return nil, "the script does not compile: " .. syntax_error
    end
    return chunk
end

-- A pipe is empty after the first reading.
local function can_be_read_again(path)
    local file = assert(io.open(path, "rb"))
    local position = file:seek("set", 0)
    file:close()
    return position == 0
end

-- Runs the script in processes of its own, one after the other. nil in each of them; else the exit code when all is over.
local function supervise(run, path)
    local script, reason = load_script(path)
    if not script then
        complain("%s", reason)
        return FAILED
    elseif not can_be_read_again(path) then
        return usage("moontide help run", "--supervise reads the script anew for each start, and %s is no file that stays", path)
    end
    io.stdout:flush()
    return require("moontide.core").supervise(run.supervise)
end

-- Contexts that the script left running are stopped; a failure that it never asked for is reported here.
local function stop_contexts(quiet)
    local loaded = package.loaded["moontide.driver.loop"]
    if not loaded then
        return OK
    end
    local core = require "moontide.core"
    local code = OK
    for _, state in ipairs(loaded.engines()) do
        for _, life in ipairs({ unpack(state.streams) }) do
            if life.is_busy() and not quiet then
                core.log("warn", "run", "the script ended while a streaming context was running: it is stopped now; "
                    .. "end the script with ssc:awaitTermination()")
            end
        end
        if not state.sc:stop() then
            code = FAILED
        end
    end
    return code
end

-- Failures of streams that stopped without anybody waiting for them.
local function report_unraised()
    local loaded = package.loaded["moontide.driver.lifecycle"]
    local code = OK
    for err in pairs(loaded and loaded.unraised or {}) do
        complain("%s", err.message)
        code = FAILED
    end
    return code
end

local function apply(run)
    local overrides = require("moontide.context").overrides
    overrides.master, overrides.appName, overrides.conf = run.master, run.name, run.conf
    overrides.watch_signals = true
    if run.conf.logLevel then
        require("moontide.core").logLevel(run.conf.logLevel)
    end
end

--- `moontide run`.
---@param argv string[] words of the command line; the first is the command
---@return integer code exit code
function cli.run(argv)
    local run, code = parse_run(argv)
    if not run then
        return code
    end
    local path = argv[run.script_index]
    apply(run)
    local over = run.supervise and supervise(run, path)
    if over then
        return over
    end
    local script, reason = load_script(path)
    if not script then
        complain("%s", reason)
        return FAILED
    end

    local folder = path:match("^(.*)/[^/]*$") or "."
    package.path = folder .. "/?.lua;" .. folder .. "/?/init.lua;" .. package.path
    -- The script's `arg` is the one global that the program defines.
    rawset(_G, "arg", make_arg(argv, run.script_index))
    io.stdout:setvbuf("line")

    local ok, message = xpcall(function()
        script(unpack(argv, run.script_index + 1))
    end, handle_error)
    if not ok then
        complain("%s", message)
    end
    local stopped, stop_code = pcall(stop_contexts, not ok)
    if not stopped then
        complain("%s", errors.text(stop_code))
        stop_code = FAILED
    end
    local unraised = report_unraised()
    io.stdout:flush()
    return ok and math.max(stop_code, unraised) or FAILED
end

--- `moontide version`.
---@return integer code exit code
function cli.version()
    return write("moontide " .. require("moontide.core").version .. "\n")
end

--- `moontide help`.
---@param argv string[] words of the command line; the first is the command
---@return integer code exit code
function cli.help(argv)
    local topic = argv[2]
    if not topic then
        return write(SUMMARY)
    elseif topic == "conf" then
        return write(CONF_HEAD .. conf.describe() .. "\n")
    elseif HELP[topic] then
        return write(HELP[topic])
    end
    local topics = { "run", "version", "help", "conf" }
    return usage("moontide help", "there is no help about '%s'%s", topic, check.suggestion(topic, topics))
end

--- Runs a command.
---@param argv string[] words of the command line; argv[0] is the program, argv[1] the command
---@return integer code exit code
function cli.main(argv)
    require "moontide.base.jit_fixes"
    require("moontide.base.iterate").install()
    require("moontide.base.finalizers").install(function(text) require("moontide.core").log("warn", "script", text) end)
    local command = argv[1]
    if not command then
        io.stderr:write(SUMMARY)
        return USAGE
    elseif command == "--help" or command == "-h" then
        return cli.help({})
    elseif command == "--version" or command == "-v" then
        return cli.version()
    end
    for _, name in ipairs(COMMANDS) do
        if command == name then
            if argv[2] == "--help" and name ~= "run" then
                return write(HELP[name])
            end
            return cli[name](argv)
        end
    end
    if command:match("%.lua$") then
        return usage("moontide run " .. command, "to run a script, say 'run'")
    end
    return usage("moontide help", "there is no command '%s'%s", command, check.suggestion(command, COMMANDS))
end

return cli
