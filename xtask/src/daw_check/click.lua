-- Opens the saved session, leaves nothing of the song but the click, and saves it.
local folder = os.getenv("DAW_SESSION")

AudioEngine:set_backend("None (Dummy)", "", "")
local session = load_session(folder, "session")
assert(session, "no session")
local plugin = session:route_by_name("Song"):nth_plugin(0)
-- Mutes of the first and the last strip, and the click behind the strips, the main output and the part: on.
for _, set in ipairs({ { 2, 1 }, { 22, 1 }, { 29, 2 } }) do
	assert(ARDOUR.LuaAPI.set_processor_param(plugin, set[1], set[2]))
end
sleep(1)
session:save_state("", false, false, false, false, false)
close_session()
quit()
