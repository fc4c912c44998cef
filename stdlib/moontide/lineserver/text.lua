--- Text for a line server that was given none: lines of three to twelve English words, some much more frequent than
--- others. The same seed gives the same bytes on every machine.

local text = {}

local vocabulary = {}
for word in ([[
    the of to and a in is it you that he was for on are with as I his they be at one have this from or had by hot but some
    what there we can out other were all your when up use word how said an each she which do their time if will way about
    many then them would write like so these her long make thing see him two has look more day could go come did my sound
    no most number who over know water than call first people may down side been now find stream batch window moon tide
    river wave current harbour shore lantern signal engine worker driver record counter journal
]]):gmatch("%S+") do
    vocabulary[#vocabulary + 1] = word
end

-- A linear congruential generator modulo 2^31: products stay below 2^53, so doubles are exact.
local function generator(seed)
    local state = seed % 2147483648
    return function()
        state = (state * 1103517 + 12345) % 2147483648
        return math.floor(state / 1024)
    end
end

--- Varied lines, each with its line end.
---@param lines integer how many
---@param seed? integer default 1
---@return string
function text.varied(lines, seed)
    local random = generator(seed or 1)
    local out = {}
    for line = 1, lines do
        local words = {}
        for index = 1, 3 + random() % 10 do
            -- The smaller of two draws: early words come more often.
            words[index] = vocabulary[1 + math.min(random() % #vocabulary, random() % #vocabulary)]
        end
        out[line] = table.concat(words, " ")
    end
    return table.concat(out, "\n") .. "\n"
end

return text
