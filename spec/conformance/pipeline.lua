-- Reads the `op` text of a case: `step(args) | step(args)`.
--
--     pipeline.parse("map(pair1) | reduceByKeyAndWindow(add,sub,window=2,slide=1) | union(self=[map(+4)])")
--     --> { { name = "map", args = { "pair1" }, named = {}, branches = {} }, … }
--
-- An argument is a word, a number (kept as text, with its sign), `name=word`, a branch `[steps]` or `name=[steps]`.
-- Steps inside a branch are separated as outside; an empty branch has none.

local pipeline = {}

-- Cuts `text` at `separator` outside of brackets.
local function split(text, separator)
    local parts, depth, start = {}, 0, 1
    for position = 1, #text do
        local char = text:sub(position, position)
        if char == "(" or char == "[" then
            depth = depth + 1
        elseif char == ")" or char == "]" then
            depth = depth - 1
            if depth < 0 then
                error("unbalanced brackets in '" .. text .. "'", 0)
            end
        elseif char == separator and depth == 0 then
            parts[#parts + 1] = text:sub(start, position - 1)
            start = position + 1
        end
    end
    if depth ~= 0 then
        error("unbalanced brackets in '" .. text .. "'", 0)
    end
    parts[#parts + 1] = text:sub(start)
    return parts
end

local function trim(text)
    return text:match("^%s*(.-)%s*$")
end

local parse

local function parse_argument(step, text)
    local name, value = text:match("^([%a_][%w_]*)%s*=%s*(.*)$")
    local branch = (value or text):match("^%[(.*)%]$")
    if branch then
        local steps = parse(branch)
        if name then
            step.named[name] = steps
        else
            step.branches[#step.branches + 1] = steps
        end
    elseif name then
        step.named[name] = value
    else
        step.args[#step.args + 1] = text
    end
end

local function parse_step(text)
    local name, arguments = text:match("^([%a_][%w_%.]*)%s*%((.*)%)$")
    if not name then
        -- A bare name, as in prose: `toint` stands for a step without arguments.
        name, arguments = text:match("^([%a_][%w_%.]*)$"), ""
        if not name then
            error("cannot read the step '" .. text .. "'", 0)
        end
    end
    local step = { name = name, args = {}, named = {}, branches = {} }
    if trim(arguments) ~= "" then
        for _, argument in ipairs(split(arguments, ",")) do
            parse_argument(step, trim(argument))
        end
    end
    return step
end

--- The steps of a pipeline.
---@param text string
---@return { name: string, args: string[], named: table<string, string|table>, branches: table[] }[]
function parse(text)
    local steps = {}
    text = trim(text)
    if text == "" then
        return steps
    end
    for _, step in ipairs(split(text, "|")) do
        steps[#steps + 1] = parse_step(trim(step))
    end
    return steps
end
pipeline.parse = parse

return pipeline
