--- The surroundings that all tasks of a worker share: the global table, the library, the process. If a function of the script changed
--- them, later tasks would fail or compute something else, in one worker and not in another. So changes that reach beyond the worker are
--- refused, and all others are undone when the task has ended.
---
--- Checked after each task whose functions can reach it (some microseconds): every name in _G, in the standard libraries and in
--- package.loaded that existed when the worker started, and the metatable of _G. New names stay. Rarer changes are noted when they
--- happen: metatables of other types than tables, io.input and io.output, hooks, the collector's and the compiler's settings,
--- environments of functions.
local finalizers = require "moontide.base.finalizers"

local surroundings = {}

local rawget, rawset, type, error = rawget, rawset, type, error
local getmetatable, setmetatable = debug.getmetatable, debug.setmetatable -- these see what __metatable hides
local setfenv, getfenv, getinfo = setfenv, getfenv, debug.getinfo
local pairs, ipairs, pcall, unpack = pairs, ipairs, pcall, unpack
local compile = jit.on

-- What is done at the end of this task, by kind; nil: nothing.
local undo = {}
local dirty = false

local function at_end(kind, fn)
    if undo[kind] == nil then
        undo[kind], dirty = fn, true
    end
end

-- Refused ----------------------------------------------------------------------------------------------------------

local function refuse_exit()
    error("os.exit() in a function that runs in a worker would end the whole program; raise an error with error(), or stop the "
        .. "streams with ssc:stop() in a function of foreachRDD, which runs in the driver", 2)
end

local function only_ask(setlocale)
    return function(locale, category)
        if locale ~= nil then
            error("os.setlocale() in a function that runs in a worker would change the locale of the whole program, under other "
                .. "functions too; call it in the script before start(), or write what you need with string.format and gsub", 2)
        end
        return setlocale(nil, category)
    end
end

-- Undone when the task has ended -------------------------------------------------------------------------------------

local function noted_hooks(sethook)
    return function(...)
        at_end("hook", sethook)
        return sethook(...)
    end
end

local COLLECTOR = { stop = "restart", setpause = "setpause", setstepmul = "setstepmul" }

local function noted_collector(collectgarbage)
    return function(what, value)
        if COLLECTOR[what] == nil then
            return collectgarbage(what, value)
        end
        local before = collectgarbage(what, value)
        at_end(what, function() collectgarbage(COLLECTOR[what], before) end)
        return before
    end
end

local function noted_handlers(attach)
    local attached = {}
    return function(handler, event)
        attached[#attached + 1] = handler
        at_end("attach", function()
            for at = #attached, 1, -1 do
                attach(attached[at])
                attached[at] = nil
            end
        end)
        return attach(handler, event)
    end
end

-- Options cannot be read: those of workers are set again (host/vm/vm.c).
local function noted_options(start, options)
    return function(...)
        at_end("options", function() start(unpack(options)) end)
        return start(...)
    end
end

-- jit.off() switches the compiler off; with arguments it concerns one function only.
local function noted_compiler(off)
    return function(...)
        if (...) == nil then
            at_end("compiler", compile)
        end
        return off(...)
    end
end

-- io.input and io.output.
local function noted_default(kind, choose, standard)
    return function(file)
        if file ~= nil then
            at_end(kind, function() choose(standard) end)
        end
        return choose(file)
    end
end

local function noted_environments()
    local before = {}
    return function(fn, env)
        if type(fn) == "number" then
            if fn == 0 then
                return setfenv(0, env)
            end
            local info = getinfo(fn + 1, "f")
            fn = info and info.func or fn
        end
        if type(fn) == "function" and before[fn] == nil then
            before[fn] = getfenv(fn)
            at_end("environments", function()
                for changed, env_before in pairs(before) do
                    pcall(setfenv, changed, env_before)
                    before[changed] = nil
                end
            end)
        end
        return setfenv(fn, env)
    end
end

-- One value of each type whose metatable all values of the type share, but for strings and nil.
local function a_function() end
local SAMPLES = { 0, true, a_function, coroutine.create(a_function) }

local function noted_metatables(set_metatable, string_metatable)
    local function restore()
        setmetatable("", string_metatable)
        setmetatable(nil, nil)
        for _, sample in ipairs(SAMPLES) do setmetatable(sample, nil) end
    end
    return function(value, mt)
        if type(value) ~= "table" then
            at_end("metatables", restore)
        end
        return set_metatable(value, mt)
    end
end

-- What is looked at ------------------------------------------------------------------------------------------------

local tables, names, values, count = {}, {}, {}, 0

local function keep(t)
    for name, value in pairs(t) do
        count = count + 1
        tables[count], names[count], values[count] = t, name, value
    end
end

local function look()
    for at = 1, count do
        if rawget(tables[at], names[at]) ~= values[at] then
            rawset(tables[at], names[at], values[at])
        end
    end
end

local thread_environment

--- Everything is as it was when the worker started. Called when a task has ended, and before a failure is told.
---@param unreached? boolean the task had only functions that cannot reach what is looked at (lua/moontide/closure/reach.lua)
function surroundings.restore(unreached)
    if not unreached or finalizers.ran then
        finalizers.ran = false
        look()
        if getmetatable(_G) ~= nil then
            setmetatable(_G, nil)
        end
        if getfenv(0) ~= thread_environment then
            setfenv(0, thread_environment)
        end
    end
    if dirty then
        dirty = false
        for kind, fn in pairs(undo) do
            undo[kind] = nil
            fn()
        end
    end
end

--- Puts the functions above in the library's place and remembers everything. Called once, when a worker's state is complete.
---@param jit_options (string|integer)[] what undoes a script's jit.opt.start
function surroundings.install(jit_options)
    -- luacheck: push ignore 122 (replacing the library's is what this is for)
    os.exit = refuse_exit
    os.setlocale = only_ask(os.setlocale)
    surroundings.sethook = debug.sethook -- for specs that count what the interpreter does from task to task
    debug.sethook = noted_hooks(debug.sethook)
    rawset(_G, "collectgarbage", noted_collector(collectgarbage))
    thread_environment = getfenv(0)
    debug.setmetatable = noted_metatables(debug.setmetatable, getmetatable "")
    io.input, io.output = noted_default("input", io.input, io.stdin), noted_default("output", io.output, io.stdout)
    jit.attach, jit.off = noted_handlers(jit.attach), noted_compiler(jit.off)
    local opt = require "jit.opt"
    opt.start = noted_options(opt.start, jit_options)
    rawset(_G, "setfenv", noted_environments())
    -- luacheck: pop
    for _, name in ipairs { "string", "table", "math", "os", "io", "coroutine", "debug", "bit", "jit", "package" } do keep(_G[name]) end
    keep(_G)
    keep(opt)
    keep(package.loaded)
    keep(package.loaders)
    keep(getmetatable "")
end

return surroundings
