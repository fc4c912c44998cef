-- Runs every example twice, in the program and in a stock luajit with the module, and compares what it prints with
-- the block `--[[ prints: … ]]` at its end.

local shell = require "spec.support.shell"

local function read(path)
    local file = assert(io.open(path, "rb"))
    local content = file:read("*a")
    file:close()
    return content
end

local function example_paths()
    local paths = {}
    for path in shell.run("ls examples/*.lua").out:gmatch("[^\n]+") do
        paths[#paths + 1] = path
    end
    return paths
end

-- Under a sanitizer the module can't be loaded into a stock luajit: it would need the sanitizer's runtime first.
local sanitized = (os.getenv("MOONTIDE_SANITIZE") or "") ~= ""

local interpreters = {
    { name = "moontide run", run = function(path, ...) return shell.moontide({ "run", path, ... }) end },
    { name = "luajit", skip = sanitized, run = function(path, ...)
        return shell.run("luajit " .. shell.command({ path, ... }))
    end },
}

local without_block = { ["examples/network_wordcount.lua"] = true }

for _, interpreter in ipairs(interpreters) do
    describe("examples, with " .. interpreter.name .. ":", function()
        for _, path in ipairs(example_paths()) do
            if not interpreter.skip and not without_block[path] then
                it(path, function()
                    local source = read(path)
                    local expected = source:match("%-%-%[%[ prints:\n(.*)%]%]\n$")
                    assert(expected, "no block of what it prints")
                    local result = interpreter.run(path)
                    assert.equal(expected, result.out)
                    assert.equal("", result.err)
                    assert.equal(0, result.code)
                end)
            end
        end

        if not interpreter.skip then
            it("network_wordcount.lua --demo prints ten batches, what came meanwhile, and ends", function()
                local result = interpreter.run("examples/network_wordcount.lua", "--demo", "200ms")
                assert.equal("", result.err)
                assert.equal(0, result.code)

                local rest, times = result.out, {}
                local dashes = ("-"):rep(43) .. "\n"
                while rest ~= "" do
                    local time, body, after = rest:match("^" .. dashes:gsub("%-", "%%-") .. "Time: (%d+) ms\n"
                        .. dashes:gsub("%-", "%%-") .. "(.-)\n(.*)$")
                    assert(time, "not a batch: " .. rest)
                    -- The records, each a line, end with an empty line.
                    local lines = 0
                    if body ~= "" then
                        body, after = rest:match("ms\n%-+\n(.-)\n\n(.*)$")
                        for line in (body .. "\n"):gmatch("([^\n]*)\n") do
                            lines = lines + 1
                            local right = line:match("^%(%a+,%d+%)$") or lines == 11 and line == "..."
                            assert(right, "not a count: " .. line)
                        end
                    end
                    times[#times + 1] = tonumber(time)
                    rest = after
                end
                assert.is_true(#times >= 10, #times .. " batches")
                for index = 2, #times do
                    assert.equal(200, times[index] - times[index - 1])
                end
            end)
        end
    end)
end

describe("a signal", function()
    it("ends network_wordcount.lua --demo gracefully, exit code 0, with whole batches printed", function()
        local running = shell.start(shell.command({ shell.program, "run", "examples/network_wordcount.lua", "--demo",
            "100ms" }))
        for _ = 1, 4 do
            assert.is_string(running:read_line())
        end
        running:signal("TERM")
        local result = running:wait()
        assert.equal("", result.err)
        assert.equal(0, result.code)
        local rest = result.out:gsub(("%-"):rep(43) .. "\nTime: %d+ ms\n" .. ("%-"):rep(43) .. "\n[^\n%-]*", "")
        assert(not rest:find("Time:", 1, true) and result.out:sub(-2) == "\n\n", result.out)
    end)
end)

describe("every example", function()
    it("says in its head what it shows, how to run it and what it prints", function()
        for _, path in ipairs(example_paths()) do
            local head = read(path):match("^(.-)\n\n")
            for _, part in ipairs({ "Shows: ", "moontide run " .. path, "Prints " }) do
                assert(head:find(part, 1, true), path .. ": no '" .. part .. "' in the comment at the top")
            end
        end
    end)
end)
