-- One hand: what clang-format and luacheck leave open is written in one way, all over the tree.

local shell = require "spec.support.shell"

-- Each: the files, what none of their lines may have, and what to write.
local C = "find host spec/host spec/fuzz -name '*.[ch]' | LC_ALL=C sort"
local LUA = "find lua stdlib -name '*.lua' | LC_ALL=C sort"

local RULES = {
    { files = C, bad = "[=!]= NULL%f[%W]", write = "'!pointer' or 'pointer'" },
    { files = C, bad = "%f[%w]sizeof%(%*", write = "'sizeof *pointer'" },
    { files = C, bad = "^ %* %*/$", write = "a comment's end on the line of its text" },
    { files = C, bad = ("."):rep(119), write = "lines of at most 118 characters" },
    { files = LUA, bad = "^ *%-%-%- @", write = "'---@param', without a space" },
    { files = LUA, bad = "string%.format%([\"']", write = "'(\"…\"):format(…)'" },
    { files = LUA, bad = "^ *if .- then .* end *$", write = "'if' on lines of its own" },
    { files = LUA, bad = "^ *return [%w_.]*C%.tide_[%w_]+%(.*cast%(", write = "no tail call with an address: its owner is gone with the frame" },
    { files = LUA, first = true, bad = "^%-%- ", write = "'--- ' at the head of a file" },
}

-- Text in long brackets is generated code or a message.
local function lines_of(path)
    local lines, number, long = {}, 0, nil
    for line in io.lines(path) do
        number = number + 1
        if long then
            long = not line:find("]" .. long .. "]", 1, true) and long or nil
        else
            lines[#lines + 1] = { number, line }
            local level, rest = line:match("^[^-].-%[(=*)%[(.*)$")
            long = level and not rest:find("]" .. level .. "]", 1, true) and path:find("%.lua$") and level or nil
        end
    end
    return lines
end

local function problems_of(path, lines, rule)
    local problems = {}
    for index, line in ipairs(lines) do
        local text = line[2]:gsub("[\194-\244][\128-\191]+", "x") -- a character of several bytes is one
        if (not rule.first or index == 1) and text:find(rule.bad) then
            problems[#problems + 1] = ("%s:%d: write %s: %s"):format(path, line[1], rule.write, line[2])
        end
    end
    return problems
end

describe("the form of the sources", function()
    for _, rule in ipairs(RULES) do
        it("has " .. rule.write, function()
            local problems, count = {}, 0
            for path in shell.run(rule.files).out:gmatch("[^\n]+") do
                count = count + 1
                for _, problem in ipairs(problems_of(path, lines_of(path), rule)) do
                    problems[#problems + 1] = problem
                end
            end
            assert(count > 50, "no sources: run the specs from the top folder")
            assert(#problems == 0, "\n" .. table.concat(problems, "\n"))
        end)
    end

    it("is told by the rules", function()
        local bad = { "if (x != NULL) return;", "n = sizeof(*x);", " * */", ("x"):rep(119), "--- @param x",
            'error(string.format("%s", x))', "    if x then return end", "    return C.tide_hash(ffi.cast(p, s), #s)", "-- Says what the file is for." }
        for index, rule in ipairs(RULES) do
            assert.equal(1, #problems_of("x", { { 1, bad[index] } }, rule), bad[index])
        end
        local good = { "if (!x) return; /* NULLs */", "n = sizeof *x;", " * text */", ("─"):rep(118), "---@param x",
            '("%s"):format(x)', "    if x then", "    local value = C.tide_hash(ffi.cast(p, s), #s)", "--- Says what the file is for." }
        for index, rule in ipairs(RULES) do
            assert.same({}, problems_of("x", { { 1, good[index] } }, rule))
        end
    end)
end)
