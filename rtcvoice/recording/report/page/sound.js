// The sound, and where in the call we are. The element is made when it is first needed.
class Player {
  constructor(sound, whole) {
    this.whole = whole;
    this.seconds = sound.type ? sound.seconds : 0;
    this.onmove = () => {};
    this.onstate = () => {};
    this.type = sound.type;
    this.at = 0;
    this.rate = 1;
    this.side = 'both';
    this.audio = null;
    this.gains = null;
  }

  get now() {
    return this.audio && this.audio.readyState ? this.audio.currentTime : this.at;
  }

  get playing() {
    return Boolean(this.audio && !this.audio.paused);
  }

  seek(time) {
    this.at = clamp(time, 0, this.whole);
    if (this.audio && this.audio.readyState) this.audio.currentTime = Math.min(this.at, this.seconds);
    this.onmove();
  }

  toggle() {
    if (!this.seconds) return;
    this.load();
    if (this.playing) {
      this.audio.pause();
    } else {
      if (this.now >= this.seconds - 0.05) this.seek(0);
      if (this.context) this.context.resume();
      this.audio.play().catch((error) => this.failed(error));
    }
  }

  setRate(rate) {
    this.rate = rate;
    if (this.audio) this.audio.playbackRate = rate;
  }

  setSide(side) {
    this.side = side;
    if (!this.gains) return;
    this.gains[0].gain.value = side === 'assistant' ? 0 : 1;
    this.gains[1].gain.value = side === 'user' ? 0 : 1;
  }

  load() {
    if (this.audio) return;
    const audio = new Audio();
    audio.src = URL.createObjectURL(new Blob([bytesOf(read('sound'))], { type: this.type }));
    audio.playbackRate = this.rate;
    audio.addEventListener('loadedmetadata', () => {
      audio.currentTime = Math.min(this.at, this.seconds);
    });
    for (const name of ['play', 'pause', 'ended']) audio.addEventListener(name, () => this.changed());
    audio.addEventListener('seeked', () => this.onmove());
    audio.addEventListener('error', () => this.failed(audio.error));
    this.audio = audio;
    this.mix();
  }

  // Both sides in the middle, or one of them; without it, one is left and the other right.
  mix() {
    try {
      this.context = new AudioContext();
      const splitter = this.context.createChannelSplitter(2);
      this.context.createMediaElementSource(this.audio).connect(splitter);
      this.gains = [0, 1].map((side) => {
        const gain = this.context.createGain();
        splitter.connect(gain, side);
        gain.connect(this.context.destination);
        return gain;
      });
      this.setSide(this.side);
    } catch {
      this.gains = null;
    }
  }

  changed() {
    this.at = this.now;
    this.onstate();
    const follow = () => {
      this.onmove();
      if (this.playing) requestAnimationFrame(follow);
    };
    follow();
  }

  failed(error) {
    $('under').textContent = `This browser cannot play the sound: ${error && error.message}`;
    this.onstate();
  }
}
