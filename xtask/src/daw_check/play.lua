-- Opens the session on JACK, mutes the accompaniment, plays it in real time, and saves. Files tell the other side where
-- it is and what it saw: what is printed here comes too late.
local folder, seconds = os.getenv("DAW_SESSION"), tonumber(os.getenv("DAW_SECONDS"))

local function tell(name, text)
	local file = assert(io.open(folder .. "/../" .. name, "w"))
	file:write(text)
	file:close()
end

AudioEngine:set_backend("JACK", "", "")
local session = load_session(folder, "session")
assert(session, "no session")
local song = session:route_by_name("Song")
local plugin = song:nth_plugin(0)
-- Bypass, then gain, mute, solo and pan of six strips: this is the last one's mute.
local OTHER_MUTE = 22
local before = ARDOUR.LuaAPI.get_processor_param(plugin, OTHER_MUTE, true)
assert(ARDOUR.LuaAPI.set_processor_param(plugin, OTHER_MUTE, 1))
-- What comes in on this track is heard.
session:route_by_name("Me"):to_track():monitoring_control():set_value(1, PBD.GroupControlDisposition.NoGroup)
sleep(2)

local ui = ARDOUR.TransportRequestSource.TRS_UI
session:goto_start()
sleep(0.5)
tell("rolling", "")
sleep(0.5)
session:request_roll(ui)
sleep(seconds)
session:request_stop(false, false, ui)
sleep(1)
tell("played.json", string.format('{"other_mute_before": %g, "song_latency_frames": %d}', before,
	plugin:to_insert():signal_latency()))
session:save_state("", false, false, false, false, false)
close_session()
quit()
