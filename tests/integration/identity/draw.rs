//! What one exchange is made of, drawn from a seed and its number: both sides draw the same, so that nothing but bytes has to pass between them.

use fastrand::Rng;
use h2::Reason;

use super::speech;

/// One exchange.
#[derive(Debug)]
pub(super) struct Exchange {
    pub method: String,
    /// As the agent asks for it: `/up` and what the upstream is asked for.
    pub target: String,
    /// Names in any spelling, repeats of them, in this order.
    pub headers: Vec<(String, String)>,
    pub upload: Option<Load>,
    pub status: u16,
    pub reply_headers: Vec<(String, String)>,
    pub reply: Load,
    pub cut: Option<Cut>,
}

/// A body and how it is sent.
#[derive(Debug)]
pub(super) struct Load {
    pub bytes: Vec<u8>,
    /// The sizes of its chunks or DATA frames, which add up to it.
    pub pieces: Vec<usize>,
    pub framing: Framing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length,
    Chunked,
    /// No framing but the end of the connection. Over HTTP/2 the same as [`Framing::Chunked`].
    Closed,
}

/// How a reply ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cut {
    /// After so many bytes of it.
    pub at: usize,
    pub how: Way,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The connection ends: a FIN, over TLS without a word.
    Fin,
    /// The connection is reset.
    Rst,
    /// HTTP/2: the stream is reset.
    Reset(Reason),
    /// HTTP/2: GOAWAY with this reason, and the end of the connection with all that is on it.
    GoAway(Reason),
    /// HTTP/2: the stream ends before its stated length is reached.
    Short,
    /// As its framing says, though the stream has not said so itself.
    Clean,
}

/// What decides what is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deck {
    pub seed: u64,
    /// Whether replies are cut.
    pub cuts: bool,
    /// What the upstream speaks, and over what.
    pub http2: bool,
    pub tls: bool,
}

impl Deck {
    /// The generator of an exchange, and of what else is drawn for it by `who`.
    pub(super) fn rng(self, number: u64, who: u64) -> Rng {
        Rng::with_seed(self.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ who.wrapping_mul(0xbf58_476d_1ce4_e5b9))
    }

    pub(super) fn draw(self, number: u64) -> Exchange {
        let rng = &mut self.rng(number, 0);
        let talk = if rng.u8(..) < 120 || self.cuts && rng.bool() { Some(speech::draw(rng)) } else { None };
        let path = talk.as_ref().map_or("/up/files/%2Fé".replace('é', "%C3%A9"), |talk| format!("/up{}", talk.path));
        let target = format!("{path}?n={number}{}", pick(rng, &["", "&q=a+b%20c", "&q=%C3%A9&&=", "&a=1&a=2/?:@"]));
        let upload = if talk.is_some() || rng.u8(..) < 190 { Some(upload(rng, talk.is_some())) } else { None };
        let methods: &[&str] = match (&talk, &upload) {
            (Some(_), _) => &["POST"],
            (None, Some(_)) => &["POST", "PUT", "PATCH", "DELETE", "BREW"],
            (None, None) => &["GET", "DELETE", "OPTIONS"],
        };
        let method = pick(rng, methods).to_owned();
        let headers = headers(rng, &["X-Alpha", "x-beta", "X-GAMMA", "Accept", "x-mIxEd", "Accept-Language", "User-Agent", "X-Request-Id"]);
        let status = if talk.is_some() { 200 } else { [200, 200, 201, 203, 404, 418][rng.usize(..6)] };
        let mut reply_headers = headers_of_reply(rng);
        let (bytes, kind) = match &talk {
            Some(talk) => (talk.bytes.clone(), talk.kind),
            None => (noise(rng, usize::from(self.cuts)), "application/octet-stream"),
        };
        reply_headers.insert(rng.usize(..=reply_headers.len()), ("Content-Type".to_owned(), kind.to_owned()));
        let framing = [Framing::Chunked, Framing::Chunked, Framing::Length, Framing::Closed][rng.usize(..4)];
        let mut reply = Load { pieces: pieces(rng, bytes.len()), bytes, framing };
        // Some are whole, so that what looks for cuts is seen to tell them apart.
        let cut = if self.cuts && rng.u8(..) > 20 { Some(self.cut(rng, &mut reply, talk.map(|talk| talk.unfinished))) } else { None };
        Exchange { method, target, headers, upload, status, reply_headers, reply, cut }
    }

    /// Where and how. `unfinished`: up to where a stream has not said that it is finished.
    fn cut(self, rng: &mut Rng, reply: &mut Load, unfinished: Option<usize>) -> Cut {
        let length = reply.bytes.len();
        if let Some(unfinished) = unfinished.filter(|_| rng.u8(..) < 90) {
            return Cut { at: rng.usize(..=unfinished), how: Way::Clean };
        }
        let reasons = [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR, Reason::REFUSED_STREAM, Reason::ENHANCE_YOUR_CALM];
        let reason = reasons[rng.usize(..reasons.len())];
        let how = match (self.http2, rng.u8(..8)) {
            (true, 0..=3) => Way::Reset(reason),
            (true, 4) => Way::GoAway(reason),
            (true, 5) => Way::Fin,
            (true, _) => {
                reply.framing = Framing::Length;
                Way::Short
            }
            (false, 0..=3) => Way::Rst,
            // Without TLS such a FIN is the end of such a body.
            (false, _) if reply.framing == Framing::Closed && !self.tls => Way::Rst,
            (false, _) => Way::Fin,
        };
        let most = if reply.framing == Framing::Length { length - 1 } else { length };
        Cut { at: rng.usize(..=most), how }
    }
}

/// What an agent sends: what it may ask, or anything.
fn upload(rng: &mut Rng, talks: bool) -> Load {
    let bytes = if talks && rng.bool() { speech::question(rng) } else { noise(rng, 0) };
    let framing = if rng.bool() { Framing::Length } else { Framing::Chunked };
    Load { pieces: pieces(rng, bytes.len()), bytes, framing }
}

pub(super) fn pick<'a>(rng: &mut Rng, from: &[&'a str]) -> &'a str {
    from[rng.usize(..from.len())]
}

/// A body of any bytes: of any size up to 200 kB, small ones more often.
fn noise(rng: &mut Rng, least: usize) -> Vec<u8> {
    let most = [0, 1, 100, 5_000, 20_000, 70_000, 200_000][rng.usize(..7)];
    let length = rng.usize(..=most).max(least);
    let mut bytes = vec![0; length];
    rng.fill(&mut bytes);
    bytes
}

/// Sizes that add up to `length`: single bytes, a few, or many at a time. Some hundreds at most.
pub(super) fn pieces(rng: &mut Rng, length: usize) -> Vec<usize> {
    let usual = [1, 2, 9, 100, 1_500, 17_000, 70_000][rng.usize(..7)];
    let (mut left, mut pieces) = (length, Vec::new());
    while left > 0 {
        let most = if pieces.len() < 200 { usual } else { 20_000 };
        let piece = rng.usize(1..=most).min(left);
        pieces.push(piece);
        left -= piece;
    }
    pieces
}

fn headers(rng: &mut Rng, names: &[&str]) -> Vec<(String, String)> {
    let values = ["", "1", "a, b;q=0.5", "\"é 你好\"", "x y  z", "~!#$%&'()*+", "0"];
    (0..rng.usize(..9)).map(|_| (pick(rng, names).to_owned(), pick(rng, &values).to_owned() + &"v".repeat(rng.usize(..40)))).collect()
}

fn headers_of_reply(rng: &mut Rng) -> Vec<(String, String)> {
    headers(rng, &["X-Alpha", "Set-Cookie", "x-beta", "X-Request-ID", "SERVER", "x-ratelimit-remaining", "Cache-Control"])
}
