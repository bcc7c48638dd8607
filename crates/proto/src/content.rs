//! STUB
use prost::Message as _;
use crate::Timestamp;

#[derive(Clone, PartialEq, prost::Message)]
struct WebSocketMessage { #[prost(int32, optional, tag = "1")] kind: Option<i32>, #[prost(message, optional, tag = "2")] request: Option<WsRequest> }
#[derive(Clone, PartialEq, prost::Message)]
struct WsRequest { #[prost(string, required, tag = "1")] verb: String, #[prost(string, required, tag = "2")] path: String, #[prost(bytes = "vec", optional, tag = "3")] body: Option<Vec<u8>>, #[prost(uint64, required, tag = "4")] request_id: u64 }
#[derive(Clone, PartialEq, prost::Message)]
struct WireEnvelope { #[prost(int32, required, tag = "1")] kind: i32, #[prost(uint64, required, tag = "5")] timestamp: u64, #[prost(uint32, optional, tag = "7")] source_device: Option<u32>, #[prost(bytes = "vec", optional, tag = "8")] content: Option<Vec<u8>>, #[prost(bytes = "vec", optional, tag = "11")] pro_sig: Option<Vec<u8>> }
/// x
#[derive(Clone, PartialEq, prost::Message)]
pub struct Profile { /// x
 #[prost(string, optional, tag = "1")] pub display_name: Option<String> }
/// x
#[derive(Clone, PartialEq, prost::Message)]
pub struct DataMessage {
    /// x
    #[prost(string, optional, tag = "1")] pub body: Option<String>,
    /// x
    #[prost(message, optional, tag = "101")] pub profile: Option<Profile>,
    /// x
    #[prost(string, optional, tag = "105")] pub sync_target: Option<String>,
}
/// x
#[derive(Clone, PartialEq, prost::Message)]
pub struct Content {
    /// x
    #[prost(message, optional, tag = "1")] pub data_message: Option<DataMessage>,
    /// x
    #[prost(int32, optional, tag = "12")] pub expiration_type: Option<i32>,
    /// x
    #[prost(uint32, optional, tag = "13")] pub expiration_timer: Option<u32>,
    /// x
    #[prost(uint64, optional, tag = "15")] pub sig_timestamp: Option<u64>,
}
/// x
pub struct Envelope { /// x
 pub timestamp: Timestamp, /// x
 pub content: Vec<u8>, /// x
 pub pro_sig: Option<Vec<u8>> }
impl DataMessage {
    /// x
    pub fn text(body: &str, sync_target: Option<String>) -> Self { Self { body: Some(body.into()), profile: None, sync_target } }
    /// x
    pub fn with_profile_name(mut self, name: &str) -> Self { self.profile = Some(Profile { display_name: Some(name.into()) }); self }
    /// x
    pub fn profile_name(&self) -> Option<&str> { self.profile.as_ref()?.display_name.as_deref() }
}
impl Content {
    /// x
    pub fn with_data(data: DataMessage, at: Timestamp) -> Self { Self { data_message: Some(data), expiration_type: Some(0), expiration_timer: Some(0), sig_timestamp: Some(at.0) } }
    /// x
    pub fn to_bytes(&self) -> Vec<u8> { self.encode_to_vec() }
    /// x
    pub fn from_bytes(b: &[u8]) -> Option<Self> { <Self as prost::Message>::decode(b).ok() }
}
impl Envelope {
    /// x
    pub fn one_to_one(timestamp: Timestamp, content: Vec<u8>, sig: [u8; 64]) -> Self { Self { timestamp, content, pro_sig: Some(sig.to_vec()) } }
    /// x
    pub fn wrap(self) -> Vec<u8> {
        let body = WireEnvelope { kind: 6, timestamp: self.timestamp.0, source_device: Some(1), content: Some(self.content), pro_sig: self.pro_sig }.encode_to_vec();
        WebSocketMessage { kind: Some(1), request: Some(WsRequest { verb: String::new(), path: String::new(), body: Some(body), request_id: 0 }) }.encode_to_vec()
    }
}
/// x
pub fn unwrap(data: &[u8]) -> Option<Envelope> {
    let ws = WebSocketMessage::decode(data).ok()?;
    let e = WireEnvelope::decode(ws.request?.body?.as_slice()).ok()?;
    Some(Envelope { timestamp: Timestamp(e.timestamp), content: e.content?, pro_sig: e.pro_sig })
}
