//! What each platform wants of an INVITE, as data: one row a kind. Written from the platforms' own pages and from reports, tried
//! against simulators of their quirks (`tests/python/edge/test_platforms.py`), **not against the live services**. A row that turns
//! out wrong is mended here, and its endpoints by their own fields meanwhile. `docs/PLATFORMS.md` says the same in words.

use super::{Auth, Preset, Way};
use crate::endpoint::EndpointKind as K;
use crate::manner::ToForm;
use crate::provider::MediaEncryption;

/// What holds where a kind has no row of its own: plain SIP, as it is configured.
pub(super) const PLAIN: Preset = Preset {
    kind: K::Sip,
    ways: &[],
    to_form: ToForm::AsReceived,
    headers: &[],
    media_encryption: MediaEncryption::Allowed,
    dtls: true,
    auth: Auth::AsConfigured,
    sdp_type: false,
    once: false,
    ring_seconds: None,
    source: "",
    read: "",
};

/// The rows.
pub static PRESETS: [Preset; 8] = [
    Preset {
        kind: K::OpenAi,
        ways: &[Way { when: "", uri: "sip:{project_id}@sip.api.openai.com;transport=tls" }],
        dtls: false,
        auth: Auth::Address,
        // a 200 with SDP but without Content-Type was seen in 2025
        sdp_type: true,
        // it answers once its webhook was accepted over REST
        ring_seconds: Some(300),
        source: "https://developers.openai.com/api/docs/guides/realtime-sip",
        read: "2025-11",
        ..PLAIN
    },
    Preset {
        kind: K::AzureOpenAi,
        ways: &[Way { when: "", uri: "sip:{project_id}@{region}.sip.ai.azure.com;transport=tls" }],
        dtls: false,
        auth: Auth::Address,
        sdp_type: true,
        ring_seconds: Some(300),
        source: "https://learn.microsoft.com/en-us/azure/foundry/openai/how-to/realtime-audio-sip",
        read: "2026-02",
        ..PLAIN
    },
    Preset {
        kind: K::XAi,
        ways: &[Way { when: "", uri: "sip:sip.voice.x.ai;transport=tls" }],
        to_form: ToForm::E164,
        dtls: false,
        auth: Auth::AddressOrPassword,
        source: "https://docs.x.ai/developers/model-capabilities/audio/voice-agent/sip",
        read: "2026-07",
        ..PLAIN
    },
    Preset {
        kind: K::LiveKit,
        ways: &[Way { when: "", uri: "{@livekit_sip_uri}" }],
        // the number in To picks its trunk
        to_form: ToForm::E164,
        dtls: false,
        auth: Auth::AddressOrPassword,
        // it repeats a refusal for a minute to the same Call-ID and From tag
        once: true,
        source: "https://docs.livekit.io/sip/trunk-inbound/",
        read: "2026-07",
        ..PLAIN
    },
    Preset {
        kind: K::ElevenLabs,
        ways: &[
            Way { when: "imported_number", uri: "sip:sip.rtc.elevenlabs.io:5060;transport=tcp" },
            Way {
                when: "",
                uri: "sip:{elevenlabs_agent_id|agent_id}@sip.rtc.elevenlabs.io:5060;transport=tcp",
            },
        ],
        headers: &[("X-CALL-ID", "{call_id}"), ("X-CALLER-ID", "{caller}")],
        dtls: false,
        auth: Auth::AddressOrPassword,
        source: "https://elevenlabs.io/docs/agents-platform/phone-numbers/sip-trunking",
        read: "2025-08",
        ..PLAIN
    },
    Preset {
        kind: K::Vapi,
        ways: &[
            Way { when: "credential_id", uri: "sip:{credential_id}.sip.vapi.ai" },
            Way { when: "", uri: "sip:{assistant_id}@sip.vapi.ai" },
        ],
        dtls: false,
        auth: Auth::Address,
        source: "https://docs.vapi.ai/advanced/sip/sip-trunk",
        read: "2026-07",
        ..PLAIN
    },
    Preset {
        kind: K::Retell,
        ways: &[
            Way { when: "imported_number", uri: "sip:sip.retellai.com;transport=tcp" },
            Way { when: "", uri: "sip:{agent_id}@sip.retellai.com;transport=tcp" },
        ],
        dtls: false,
        auth: Auth::AddressOrPassword,
        source: "https://docs.retellai.com/deploy/custom-telephony",
        read: "2026-07",
        ..PLAIN
    },
    Preset {
        kind: K::Bland,
        ways: &[Way { when: "", uri: "sip:{region}.sip.bland.ai:5061;transport=tls" }],
        media_encryption: MediaEncryption::Required,
        dtls: false,
        auth: Auth::Address,
        source: "https://docs.bland.ai/agents/sip-network",
        read: "2026-07",
        ..PLAIN
    },
];
