// A Realtime server with nothing but POST /v1/realtime/calls, on Pion: raw SDP in, SDP out, events
// on the data channel, Opus on the track. It has no ephemeral tokens, takes no forms, and sends no
// output_audio_buffer events. It answers each turn with the packets of one file, and calls the
// first tool of the session when a text has the word "tool".
//
//	GO111MODULE=off GOPATH=/usr/share/gocode go build -o server main.go
//	./server packets.bin        prints its address; packets: 2 bytes of length, then 20 ms of Opus
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc"
	"github.com/pion/webrtc/pkg/media"
)

type event = map[string]interface{}

type call struct {
	mutex   sync.Mutex
	channel *webrtc.DataChannel
	track   *webrtc.TrackLocalStaticSample
	packets [][]byte
	session event
	pending string // the text that is to be answered
	stop    chan struct{}
	count   int
}

func (c *call) id(prefix string) string {
	c.count++
	return fmt.Sprintf("%s_%d", prefix, c.count)
}

func (c *call) send(kind string, fields event) {
	fields["type"] = kind
	fields["event_id"] = c.id("event")
	text, _ := json.Marshal(fields)
	_ = c.channel.SendText(string(text))
}

func (c *call) receive(data []byte) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var got event
	if json.Unmarshal(data, &got) != nil {
		return
	}
	switch got["type"] {
	case "session.update":
		for name, value := range got["session"].(event) {
			c.session[name] = value
		}
		c.send("session.updated", event{"session": c.session})
	case "conversation.item.create":
		item := got["item"].(event)
		if item["id"] == nil {
			item["id"] = c.id("item")
		}
		item["object"], item["status"] = "realtime.item", "completed"
		text, _ := json.Marshal(item)
		c.pending = string(text)
		c.send("conversation.item.added", event{"item": item, "previous_item_id": nil})
		c.send("conversation.item.done", event{"item": item, "previous_item_id": nil})
	case "response.create":
		request, _ := got["response"].(event)
		c.respond(request)
	case "response.cancel", "output_audio_buffer.clear":
		if c.stop != nil {
			close(c.stop)
			c.stop = nil
		}
	}
}

func (c *call) respond(request event) {
	id := c.id("resp")
	response := event{"id": id, "object": "realtime.response", "status": "in_progress", "output": []interface{}{}}
	if request != nil {
		response["metadata"] = request["metadata"]
	}
	c.send("response.created", event{"response": response})
	tools, _ := c.session["tools"].([]interface{})
	if len(tools) > 0 && strings.Contains(c.pending, "tool") && !strings.Contains(c.pending, "call_output") {
		name := tools[0].(event)["name"]
		item := event{"id": c.id("item"), "type": "function_call", "status": "completed",
			"name": name, "call_id": c.id("call"), "arguments": "{}"}
		c.finish(response, item, "completed")
		return
	}
	c.stop = make(chan struct{})
	go c.speak(response, c.stop)
}

func (c *call) speak(response event, stop chan struct{}) {
	c.mutex.Lock()
	item := event{"id": c.id("item"), "type": "message", "role": "assistant", "status": "in_progress",
		"content": []interface{}{}}
	at := event{"response_id": response["id"], "item_id": item["id"], "output_index": 0, "content_index": 0}
	with := func(more event) event {
		for name, value := range at {
			more[name] = value
		}
		return more
	}
	c.send("response.output_item.added", event{"response_id": response["id"], "output_index": 0, "item": item})
	c.send("response.content_part.added", with(event{"part": event{"type": "audio", "transcript": ""}}))
	words := "This is an answer in a few words."
	c.send("response.output_audio_transcript.delta", with(event{"delta": words}))
	c.mutex.Unlock()
	status, tick := "completed", time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
speaking:
	for _, packet := range c.packets {
		select {
		case <-stop:
			status = "cancelled"
			break speaking
		case <-tick.C:
			_ = c.track.WriteSample(media.Sample{Data: packet, Duration: 20 * time.Millisecond})
		}
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if status == "completed" {
		c.stop = nil
		c.send("response.output_audio_transcript.done", with(event{"transcript": words}))
		item["status"] = "completed"
	} else {
		item["status"] = "incomplete"
	}
	item["content"] = []interface{}{event{"type": "output_audio", "transcript": words}}
	c.finish(response, item, status)
}

func (c *call) finish(response event, item event, status string) {
	c.send("response.output_item.done", event{"response_id": response["id"], "output_index": 0, "item": item})
	response["status"], response["output"] = status, []interface{}{item}
	c.send("response.done", event{"response": response})
}

// Has a call take media by TCP alone, at one port for all; nil where media goes by UDP.
var byTCP func(*webrtc.SettingEngine)

func answer(offer string, packets [][]byte) (string, error) {
	settings := webrtc.SettingEngine{}
	settings.SetLite(os.Getenv("LITE") != "")
	settings.SetIncludeLoopbackCandidate(true)
	host := os.Getenv("HOST")
	settings.SetInterfaceFilter(func(name string) bool { return host != "" || name == "lo" })
	if byTCP != nil {
		byTCP(&settings)
	}
	engine := &webrtc.MediaEngine{}
	if err := engine.RegisterDefaultCodecs(); err != nil {
		return "", err
	}
	api := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(engine))
	peer, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return "", err
	}
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	track, err := webrtc.NewTrackLocalStaticSample(opus, "audio", "voice")
	if err != nil {
		return "", err
	}
	if _, err = peer.AddTrack(track); err != nil {
		return "", err
	}
	made := &call{track: track, packets: packets, session: event{
		"type": "realtime", "object": "realtime.session", "id": "sess_1", "model": "pion"}}
	peer.OnDataChannel(func(channel *webrtc.DataChannel) {
		made.channel = channel
		channel.OnOpen(func() { made.send("session.created", event{"session": made.session}) })
		channel.OnMessage(func(message webrtc.DataChannelMessage) { made.receive(message.Data) })
	})
	peer.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		var heard io.Writer = io.Discard
		if path := os.Getenv("HEARD"); path != "" { // what is heard, in the format of the packets
			if file, err := os.Create(path); err == nil {
				defer file.Close()
				heard = file
			}
		}
		for {
			packet, _, err := remote.ReadRTP()
			if err != nil {
				return
			}
			size := binary.BigEndian.AppendUint16(nil, uint16(len(packet.Payload)))
			_, _ = heard.Write(append(size, packet.Payload...))
		}
	})
	description := webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}
	if err = peer.SetRemoteDescription(description); err != nil {
		return "", err
	}
	gathered := webrtc.GatheringCompletePromise(peer)
	local, err := peer.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	if err = peer.SetLocalDescription(local); err != nil {
		return "", err
	}
	<-gathered
	return peer.LocalDescription().SDP, nil
}

func main() {
	data, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var packets [][]byte
	for len(data) > 2 {
		size := int(binary.BigEndian.Uint16(data))
		packets = append(packets, data[2:2+size])
		data = data[2+size:]
	}
	http.HandleFunc("/v1/realtime/calls", func(out http.ResponseWriter, in *http.Request) {
		if in.Header.Get("Content-Type") != "application/sdp" {
			http.Error(out, "Content-Type must be application/sdp", http.StatusUnsupportedMediaType)
			return
		}
		offer, _ := io.ReadAll(io.LimitReader(in.Body, 1<<20))
		sdp, err := answer(string(offer), packets)
		if err != nil {
			http.Error(out, err.Error(), http.StatusBadRequest)
			return
		}
		out.Header().Set("Content-Type", "application/sdp")
		out.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(out, sdp)
	})
	host := os.Getenv("HOST")
	if host == "" {
		host = "127.0.0.1"
	}
	if os.Getenv("TCP_ONLY") != "" {
		media, err := net.Listen("tcp4", host+":0")
		if err != nil {
			log.Fatal(err)
		}
		mux := webrtc.NewICETCPMux(nil, media, 64)
		byTCP = func(settings *webrtc.SettingEngine) {
			settings.SetIncludeLoopbackCandidate(false)
			settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
			settings.SetICETCPMux(mux)
		}
	}
	listener, err := net.Listen("tcp", host+":0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s/v1\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
