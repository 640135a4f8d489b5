-- Makes the session: a track "Song" with a recording of noise (the song's samples are put in its place), and a track
-- "Me" for a live input. Run by `cargo xtask daw-check` in Ardour's own `ardour7-lua`.
local folder, seconds = os.getenv("DAW_SESSION"), tonumber(os.getenv("DAW_SECONDS"))

AudioEngine:set_backend("None (Dummy)", "", "")
AudioEngine:set_sample_rate(44100)
AudioEngine:set_device_name("Uniform White Noise")
local session = create_session(folder, "session", 44100)
assert(session, "no session")
local function track(channels, name)
	session:new_audio_track(channels, channels, nil, 1, name, ARDOUR.PresentationInfo.max_order,
		ARDOUR.TrackMode.Normal, true)
	return session:route_by_name(name)
end
local song = track(2, "Song")
track(1, "Me")

local group = PBD.GroupControlDisposition.NoGroup
local ui = ARDOUR.TransportRequestSource.TRS_UI
song:to_track():rec_enable_control():set_value(1, group)
session:maybe_enable_record(false)
session:request_roll(ui)
sleep(seconds)
session:request_stop(false, false, ui)
sleep(1)
song:to_track():rec_enable_control():set_value(0, group)
sleep(0.5)

local plugin = ARDOUR.LuaAPI.new_plugin(session, "RehearseKit", ARDOUR.PluginType.VST3, "")
assert(not plugin:isnil(), "Ardour does not find the plugin")
assert(song:add_processor_by_index(plugin, 0, nil, true) == 0, "Ardour does not take the plugin")
session:save_state("", false, false, false, false, false)
close_session()
quit()
