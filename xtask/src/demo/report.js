// A small mixer: the stems of a take play together, each with a fader, mute and solo.
// Without this script the page still has a player for every stem.
document.documentElement.classList.add('js');
const takes = [...document.querySelectorAll('.take')].map(card => {
  const strips = [...card.querySelectorAll('.strip')].map(strip => ({
    strip, audio: strip.querySelector('audio'), line: strip.querySelector('i'),
    fader: strip.querySelector('input'), mute: strip.querySelector('.mute'), solo: strip.querySelector('.solo'),
  }));
  return { card, strips, lead: strips[0].audio, button: card.querySelector('.transport button'),
    clock: card.querySelector('output'), playing: false };
});
const pressed = button => button.getAttribute('aria-pressed') === 'true';
const time = s => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, '0')}`;

function mix(take) {
  const solo = take.strips.some(s => s.solo && pressed(s.solo));
  for (const s of take.strips) {
    if (!s.fader) continue;
    const heard = solo ? pressed(s.solo) : !pressed(s.mute);
    s.audio.volume = heard ? Number(s.fader.value) ** 2 : 0; // squared: a fader that feels even
    s.strip.classList.toggle('silent', s.audio.volume === 0);
  }
}
function pause(take) {
  take.playing = false;
  take.strips.forEach(s => s.audio.pause());
  take.button.textContent = '▶';
  take.button.setAttribute('aria-label', 'Play');
}
function play(take) {
  takes.filter(other => other !== take).forEach(pause);
  if (take.lead.ended || take.lead.currentTime >= take.lead.duration - .05) seek(take, 0);
  take.playing = true;
  const at = take.lead.currentTime;
  for (const s of take.strips) { if (s.audio !== take.lead) s.audio.currentTime = at; s.audio.play(); }
  take.card.classList.add('on');
  take.button.textContent = '❚❚';
  take.button.setAttribute('aria-label', 'Pause');
  requestAnimationFrame(() => tick(take));
}
function seek(take, seconds) {
  take.strips.forEach(s => { s.audio.currentTime = seconds; });
  draw(take, seconds);
}
function draw(take, at) {
  const length = take.lead.duration || 1;
  take.strips.forEach(s => { s.line.style.left = `${100 * at / length}%`; });
  take.clock.textContent = `${time(at)} / ${time(length)}`;
}
function tick(take) {
  if (!take.playing) return;
  const at = take.lead.currentTime;
  for (const s of take.strips) // players of a browser start a little apart: bring stragglers back
    if (s.audio !== take.lead && Math.abs(s.audio.currentTime - at) > .07) s.audio.currentTime = at;
  draw(take, at);
  if (take.lead.ended) pause(take); else requestAnimationFrame(() => tick(take));
}
for (const take of takes) {
  take.button.onclick = () => take.playing ? pause(take) : play(take);
  take.lead.addEventListener('loadedmetadata', () => draw(take, take.lead.currentTime));
  if (take.lead.readyState > 0) draw(take, 0);
  for (const s of take.strips) {
    const figure = s.strip.querySelector('figure');
    figure.onclick = event => {
      const box = figure.getBoundingClientRect();
      seek(take, (event.clientX - box.left) / box.width * (take.lead.duration || 0));
      take.card.classList.add('on');
    };
    if (s.fader) s.fader.oninput = () => mix(take);
    for (const button of [s.mute, s.solo].filter(Boolean))
      button.onclick = () => { button.setAttribute('aria-pressed', String(!pressed(button))); mix(take); };
  }
}
document.addEventListener('keydown', event => {
  if (event.code !== 'Space' || event.target.closest('button, input, a')) return;
  event.preventDefault();
  const current = takes.find(t => t.playing) || takes.find(t => t.card.classList.contains('on')) || takes[0];
  if (current.playing) pause(current); else play(current);
});
