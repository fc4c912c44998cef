-- Output handler for busted: writes TAP to the file named by MOONTIDE_TAP, a line as each test ends.
--
-- A file of its own, because tests write what they like to stdout; a line at once, because a crash or a time-out must
-- show which tests had ended before. Without MOONTIDE_TAP the TAP goes to stdout. Read by spec/run.lua.

local pretty = require "pl.pretty"

return function()
    local busted = require "busted"
    local handler = require "busted.outputHandlers.base"()

    local path = os.getenv("MOONTIDE_TAP")
    local out = path and assert(io.open(path, "w")) or io.stdout
    local count = 0
    local running = false -- between the start and the end of a test
    local notes = {}      -- what went wrong in the running test

    local function one_line(text)
        return (tostring(text):gsub("%s*\n%s*", " "))
    end

    local function write(...)
        out:write(...)
        out:write("\n")
        out:flush()
    end

    local function describe(problem)
        local message = problem.message
        if message == nil then
            message = "failed without a message"
        elseif type(message) ~= "string" then
            message = tostring(message):match("^table: ") and pretty.write(message) or tostring(message)
        end
        local trace = problem.trace or {}
        local where = ""
        if trace.short_src and trace.currentline then
            where = trace.short_src .. ":" .. trace.currentline .. ": "
        end
        if problem.isError and trace.traceback then
            message = message .. "\n" .. trace.traceback:gsub("^%s+", "")
        end
        return where .. message
    end

    local function write_result(verdict, name)
        count = count + 1
        write(verdict, " ", tostring(count), " - ", one_line(name))
        for _, note in ipairs(notes) do
            write("# ", (note:gsub("\n", "\n# ")))
        end
        notes = {}
    end

    local function on_test_start()
        running, notes = true, {}
        return nil, true
    end

    local function on_test_end(element, _, status)
        local name = handler.getFullName(element)
        running = false
        if status == "success" then
            write_result("ok", name)
        elseif status == "pending" then
            local pending = handler.pendings[#handler.pendings]
            local reason = pending and type(pending.message) == "string" and pending.message or "pending"
            write_result("ok", name .. " # SKIP " .. reason)
        else
            write_result("not ok", name)
        end
        return nil, true
    end

    -- Failures inside a test are told with the test; others (a file that does not load, a setup) are results of
    -- their own.
    local function on_problem(element, parent, message, trace, is_error)
        notes[#notes + 1] = describe(handler.format(element, parent, message, trace, is_error))
        if not running then
            -- A hook has no name of its own, and its full name ends in what it is.
            local prefix = element.name and element.descriptor .. " " or ""
            write_result("not ok", prefix .. handler.getFullName(element))
        end
        return nil, true
    end

    local function on_suite_end()
        write("1..", tostring(count))
        return nil, true
    end

    busted.subscribe({ "test", "start" }, on_test_start)
    busted.subscribe({ "test", "end" }, on_test_end)
    busted.subscribe({ "suite", "end" }, on_suite_end)
    busted.subscribe({ "failure" }, function(element, parent, message, trace)
        return on_problem(element, parent, message, trace, false)
    end)
    busted.subscribe({ "error" }, function(element, parent, message, trace)
        return on_problem(element, parent, message, trace, true)
    end)

    return handler
end
