-- Runs the test programs and the specs, each in a process of its own, and adds up their results.
--
--     luajit spec/run.lua [--build DIR] [--lua INTERPRETER] [--timeout SECONDS] [--share PART] [--seed N] [file...]
--
-- Started by `make test`, which has built everything. Without files: every spec/host/test_*.c, then every *_spec.lua
-- under spec/. --share 0.2 draws a fifth of the files by the seed, --share 2/5 the second of five parts. Both kinds report
-- in TAP. What a program printed is kept in DIR/test/ and shown when something failed.
-- Besides the reported results, each of these counts as one failure: an exit status that does not fit the results,
-- fewer or more results than announced, a time-out, a report that a sanitizer left behind (also in a child process).
-- The last line is always "N passed, N failed"; the exit status is 0 only if something passed and nothing failed.

local options = { build = "build", lua = "luajit", timeout = "300", share = "1/1", seed = "1" }
local given = {} -- options of the command line
local files = {}

local function fail_usage(message)
    io.stderr:write("spec/run.lua: ", message, "\n",
        "usage: luajit spec/run.lua [--build DIR] [--lua INTERPRETER] [--timeout SECONDS] [--share PART] [--seed N] [file...]\n")
    os.exit(2)
end

local function parse_arguments(arguments)
    local index = 1
    while index <= #arguments do
        local argument = arguments[index]
        local name = argument:match("^%-%-(.*)")
        if not name then
            files[#files + 1] = argument
        elseif options[name] and arguments[index + 1] then
            index = index + 1
            options[name], given[name] = arguments[index], true
        else
            fail_usage("unknown option or missing value: " .. argument)
        end
        index = index + 1
    end
end

local function quote(text)
    return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function read_file(path)
    local file = io.open(path, "rb")
    if not file then
        return ""
    end
    local content = file:read("*a")
    file:close()
    return content
end

local function capture(command)
    local pipe = assert(io.popen(command, "r"))
    local output = pipe:read("*a")
    pipe:close()
    return output
end

local function find_files()
    local listing = capture("find spec/host -name 'test_*.c' 2>/dev/null | LC_ALL=C sort;"
        .. " find spec -name '*_spec.lua' 2>/dev/null | LC_ALL=C sort")
    for path in listing:gmatch("[^\n]+") do
        files[#files + 1] = path
    end
end

-- The files in an order that follows from the seed alone.
local function shuffled(seed)
    local list, random = { unpack(files) }, seed % 2147483646 + 1
    for index = #list, 2, -1 do
        random = random * 16807 % 2147483647
        local other = random % index + 1
        list[index], list[other] = list[other], list[index]
    end
    return list
end

-- Leaves the share of the files that was asked for, in their usual order.
local function draw_share()
    local part, parts = options.share:match("^(%d+)/(%d+)$")
    local fraction = not part and tonumber(options.share)
    local first, last
    if part and tonumber(part) >= 1 and tonumber(part) <= tonumber(parts) then
        first, last = math.floor((part - 1) * #files / parts) + 1, math.floor(part * #files / parts)
    elseif fraction and fraction > 0 and fraction <= 1 then
        first, last = 1, math.ceil(fraction * #files)
    else
        fail_usage("--share is a fraction like 0.2 or a part like 2/5, got " .. options.share)
    end
    local drawn = { unpack(shuffled(tonumber(options.seed)), first, last) }
    print(string.format("seed %s: %d of %d files", options.seed, #drawn, #files))
    files = drawn
    table.sort(files)
end

-- Reads TAP as cmocka and support/report.lua write it. cmocka numbers each group of tests from 1 again, announces it
-- with a plan of its own before the results, and marks a skipped test as "not ok … # SKIP".
local function read_tap(text)
    local result = { passed = 0, failed = 0, announced = 0, failures = {}, skipped = {}, has_plan = false }
    local failing
    for line in text:gmatch("[^\n]+") do
        local verdict, name = line:match("^(o?k?n?o?t? ?ok) %d+ ?(.*)$")
        local planned = line:match("^1%.%.(%d+)%s*$")
        if verdict == "ok" or verdict == "not ok" then
            failing = nil
            name = name:gsub("^%- ", "")
            if name:find("# SKIP", 1, true) then
                result.skipped[#result.skipped + 1] = name:gsub("^# SKIP ", ""):gsub(" # SKIP ", ": ")
            elseif verdict == "ok" then
                result.passed = result.passed + 1
            else
                result.failed = result.failed + 1
                failing = { name = name, notes = {} }
                result.failures[#result.failures + 1] = failing
            end
        elseif planned then
            failing = nil
            result.has_plan = true
            result.announced = result.announced + tonumber(planned)
        elseif failing and line:sub(1, 1) == "#" and not line:find("^# not ok") then
            failing.notes[#failing.notes + 1] = line:sub(3)
        end
    end
    result.reported = result.passed + result.failed + #result.skipped
    return result
end

local function add_failure(result, name, notes)
    result.failed = result.failed + 1
    result.failures[#result.failures + 1] = { name = name, notes = notes or {} }
end

local function lines_of(text)
    local lines = {}
    for line in text:gmatch("[^\n]+") do
        lines[#lines + 1] = line
    end
    return lines
end

-- ASan says so of every thread whose stack is larger than 64 MB, as ours are (host/thread/thread.h): no error.
local LARGE_STACK = "==%d+==WARNING: ASan is ignoring requested __asan_handle_no_return:[^\n]*\n"
    .. "False positive error reports may follow\nFor details see [^\n]*\n"

-- The Makefile makes the sanitizers of every process write to <build>/test/sanitizer.<pid>.
local function take_sanitizer_reports(result)
    local pattern = quote(options.build .. "/test") .. "/sanitizer.*"
    local reports = capture("cat " .. pattern .. " 2>/dev/null; rm -f " .. pattern):gsub(LARGE_STACK, "")
    if reports:find("%S") then
        add_failure(result, "a sanitizer reported an error", lines_of(reports))
    end
end

local function command_for(path, tap)
    local name = path:match("^spec/host/(test_[%w_]+)%.c$")
    if name then
        return "CMOCKA_MESSAGE_OUTPUT=TAP " .. quote(options.build .. "/spec/" .. name), "stdout"
    elseif path:match("%.lua$") then
        return string.format("MOONTIDE_TAP=%s %s spec/support/run_specs.lua --output=spec/support/report.lua %s",
            quote(tap), options.lua, quote(path)), "file"
    end
    fail_usage(path .. " is neither spec/host/test_*.c nor a Lua spec")
end

local function run_file(path)
    local base = options.build .. "/test/" .. path:gsub("[/.]", "_")
    local log, tap, status = base .. ".log", base .. ".tap", base .. ".status"
    local command, reports_to = command_for(path, tap)

    os.execute("rm -f " .. quote(tap))
    os.execute(string.format("begin=$(date +%%s.%%N); timeout -s KILL %s env %s >%s 2>&1 </dev/null; "
        .. "echo $? $begin $(date +%%s.%%N) >%s", quote(options.timeout), command, quote(log), quote(status)))

    local code, started, ended = read_file(status):match("(%d+) (%S+) (%S+)")
    if not code then
        io.stderr:write("spec/run.lua: cannot run ", path, ": ", log, " was not written\n")
        os.exit(1)
    end

    local result = read_tap(read_file(reports_to == "file" and tap or log))
    result.path, result.log = path, log
    result.seconds = tonumber(ended) - tonumber(started)
    take_sanitizer_reports(result)
    if code == "124" or code == "137" then
        add_failure(result, string.format("killed: did not end within %s s", options.timeout))
    elseif not result.has_plan or result.reported ~= result.announced then
        add_failure(result, string.format("ended early with exit status %s: %s tests announced, %d reported", code,
            result.has_plan and result.announced or "no", result.reported))
    elseif code ~= "0" and result.failed == 0 then
        add_failure(result, "exit status " .. code .. ", though no test failed")
    end
    return result
end

local function print_result(result)
    local verdict = result.failed > 0 and "FAIL" or "ok"
    local counts = result.passed .. " passed"
    if result.failed > 0 then
        counts = counts .. ", " .. result.failed .. " failed"
    end
    if #result.skipped > 0 then
        counts = counts .. ", " .. #result.skipped .. " skipped"
    end
    print(string.format("%-4s  %-48s %7.2f s  %s", verdict, result.path, result.seconds, counts))
    for _, name in ipairs(result.skipped) do
        print("      skipped: " .. name)
    end
    if result.failed > 0 then
        for _, failure in ipairs(result.failures) do
            print("      failed:  " .. failure.name)
            for _, note in ipairs(failure.notes) do
                print("               " .. note)
            end
        end
        local output = lines_of(read_file(result.log))
        local first = math.max(1, #output - 79)
        print(string.format("      output (%s%s):", first > 1 and "last 80 lines of " or "", result.log))
        for index = first, #output do
            print("      | " .. output[index])
        end
    end
    io.stdout:flush()
end

local function main()
    parse_arguments(arg)
    if #files == 0 then
        find_files()
    end
    if options.share ~= "1/1" or given.seed then
        draw_share()
    end
    os.execute("mkdir -p " .. quote(options.build .. "/test") .. " && rm -f " .. quote(options.build .. "/test")
        .. "/sanitizer.*")

    local passed, failed, skipped = 0, 0, 0
    for _, path in ipairs(files) do
        local result = run_file(path)
        print_result(result)
        passed, failed, skipped = passed + result.passed, failed + result.failed, skipped + #result.skipped
    end

    if skipped > 0 then
        print(skipped .. " skipped, named above")
    end
    if passed + failed == 0 then
        print("nothing ran: no spec/host/test_*.c and no spec/**/*_spec.lua were found")
    end
    print(string.format("%d passed, %d failed", passed, failed))
    io.stdout:flush()
    if failed > 0 or passed == 0 then
        os.exit(1)
    end
end

main()
