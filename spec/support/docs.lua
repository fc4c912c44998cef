-- Reads the doc comments of Lua sources: what stands above a function, its tags, its examples. And runs examples.
--
-- The form: a sentence (and more), an example indented by four more spaces, where the behaviour comes from (`Guide: "…".`,
-- `As in Spark 1.3.`, `Not in Spark.`), then the tags. In an example, `expression  --> value` says what it gives; the value is
-- Lua, perhaps with `in any order` behind it. After `--` stands a remark.

local docs = {}

local function read_lines(path)
    local lines = {}
    for line in assert(io.open(path, "rb")):lines() do
        lines[#lines + 1] = line
    end
    return lines
end

--- The sources under a folder.
---@param folder string
---@param depth? integer how many folders deep
---@return string[]
function docs.sources(folder, depth)
    local paths = {}
    local pipe = assert(io.popen(string.format("find %s -maxdepth %d -name '*.lua' | LC_ALL=C sort", folder, depth or 9)))
    for path in pipe:lines() do
        paths[#paths + 1] = path
    end
    pipe:close()
    return paths
end

-- Splits a comment in text, examples and tags; a tag may go on in the next lines.
local function parse(comment)
    local text, examples, tags, example = {}, {}, {}, nil
    for _, line in ipairs(comment) do
        local tag = line:match("^ ?@(.*)$")
        local code = line:match("^     (.*)$")
        if tag then
            tags[#tags + 1] = tag
        elseif #tags > 0 then
            tags[#tags] = tags[#tags] .. " " .. line:match("^%s*(.*)$")
        elseif code then
            example = example or {}
            example[#example + 1] = code
        elseif example and line:match("^%s*$") then
            example[#example + 1] = ""
        else
            if example then
                examples[#examples + 1] = table.concat(example, "\n"):gsub("%s+$", "")
                example = nil
            end
            text[#text + 1] = line:match("^%s*(.-)%s*$")
        end
    end
    if example then
        examples[#examples + 1] = table.concat(example, "\n"):gsub("%s+$", "")
    end
    return table.concat(text, "\n"), examples, tags
end

-- The lines of a function up to its `end`, without those of the doc comments in it.
local function body_of(lines, first)
    local indent = lines[first]:match("^%s*")
    local body = {}
    for index = first + 1, #lines do
        if lines[index]:find("^" .. indent .. "end%f[^%w]") then
            break
        end
        body[#body + 1] = lines[index]
    end
    return table.concat(body, "\n")
end

---@class spec.documented
---@field path string
---@field line integer
---@field owner string "RDD", "check" …
---@field name string "map", "fail" …
---@field full string "RDD:map"
---@field parameters string[]
---@field text string the comment without examples and tags
---@field examples string[]
---@field tags string[] "param f fun(…): any …"
---@field body string

--- The functions of a source that are fields of something: `function owner:name(…)`, `function owner.name(…)`, and what else
--- is a field and has a doc comment: `owner.name = …`.
---@param path string
---@return spec.documented[]
function docs.functions(path)
    local lines, found, comment = read_lines(path), {}, {}
    for number, line in ipairs(lines) do
        local doc = line:match("^%s*%-%-%-(.*)$")
        if doc then
            comment[#comment + 1] = doc
        else
            local owner, mark, name, parameters = line:match("^%s*function ([%w_]+)([%.:])([%w_]+)%((.-)%)")
            if not owner and #comment > 0 then
                owner, mark, name = line:match("^([%w_]+)(%.)([%w_]+) = ")
                parameters = ""
            end
            if owner then
                local list = {}
                for parameter in parameters:gmatch("[%w_%.]+") do
                    list[#list + 1] = parameter
                end
                local text, examples, tags = parse(comment)
                found[#found + 1] = {
                    path = path, line = number, owner = owner, name = name, full = owner .. mark .. name,
                    parameters = list, text = text, examples = examples, tags = tags,
                    body = line:find("function ", 1, true) and body_of(lines, number) or "",
                }
            end
            comment = {}
        end
    end
    return found
end

--- The tag of a parameter, without its name; nil when there is none.
---@param documented spec.documented
---@param parameter string
---@return string? rest
---@return boolean optional
function docs.parameter(documented, parameter)
    for _, tag in ipairs(documented.tags) do
        local name, optional, rest = tag:match("^param ([%w_%.]+)(%??)%s*(.*)$")
        if name == parameter then
            return rest, optional == "?"
        end
    end
    return nil, false
end

--- How many tags there are of a kind.
---@param documented spec.documented
---@param kind string "return" …
---@return integer
function docs.count(documented, kind)
    local count = 0
    for _, tag in ipairs(documented.tags) do
        count = count + (tag:find("^" .. kind .. "%f[%W]") and 1 or 0)
    end
    return count
end

-- Running examples ------------------------------------------------------------------------------------------------

-- A line goes on when it does not parse yet, or when the next one is a method call or indented.
local function units_of(example)
    local units, lines = {}, {}
    for line in (example .. "\n"):gmatch("(.-)\n") do
        lines[#lines + 1] = line
    end
    local code, expected = {}, nil
    for index, line in ipairs(lines) do
        local before, value = line:match("^(.-)%s*%-%-> (.*)$")
        code[#code + 1] = before or line
        expected = expected or value
        local text, next_line = table.concat(code, "\n"), lines[index + 1] or ""
        local complete = loadstring("return " .. text) or loadstring(text)
        if complete and not next_line:find("^%s+[:%-%(%w]") then
            if text:find("%S") then
                units[#units + 1] = { code = text, expected = expected }
            end
            code, expected = {}, nil
        end
    end
    if #code > 0 then
        return nil, "this is not Lua: " .. table.concat(code, "\n")
    end
    return units
end

docs.units = units_of

local function evaluate(code, environment)
    -- Locals of one unit are there for the next.
    local chunk = loadstring("return " .. code)
        or assert(loadstring((code:gsub("^local function ", "function "):gsub("^local ", "", 1))))
    return setfenv(chunk, environment)()
end

local function written(value)
    if type(value) ~= "table" then
        return type(value) == "string" and string.format("%q", value) or tostring(value)
    end
    local entries, count = {}, #value
    for index = 1, count do
        entries[index] = written(value[index])
    end
    local others = {}
    for key, entry in pairs(value) do
        if not (type(key) == "number" and key >= 1 and key <= count and key % 1 == 0) then
            others[#others + 1] = "[" .. written(key) .. "] = " .. written(entry)
        end
    end
    table.sort(others)
    for _, entry in ipairs(others) do
        entries[#entries + 1] = entry
    end
    return "{ " .. table.concat(entries, ", ") .. " }"
end

local function in_order(list)
    local copy = {}
    for index, value in ipairs(list) do
        copy[index] = value
    end
    table.sort(copy, function(a, b) return written(a) < written(b) end)
    return copy
end

--- Runs an example and compares what it gives with what it says.
---@param example string
---@param environment table its globals; locals of the example land here too
---@return any last what its last expression gave
function docs.run(example, environment)
    local units, reason = units_of(example)
    assert(units, reason)
    local last
    for _, unit in ipairs(units) do
        last = evaluate(unit.code, environment)
        if unit.expected then
            local value, any_order = unit.expected:match("^(.-) in any order$")
            local expected = evaluate(value or unit.expected, environment)
            local wanted, got = expected, last
            if any_order == nil and value then
                wanted, got = in_order(expected), in_order(last)
            end
            if written(wanted) ~= written(got) then
                error(string.format("%s\n    gives  %s\n    not    %s", unit.code, written(got), written(wanted)), 0)
            end
        end
    end
    return last
end

return docs
