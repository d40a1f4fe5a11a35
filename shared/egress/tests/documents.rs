//! Downloads of documents: redirects, compressed responses, messages of servers, and private sources, with servers on
//! loopback.

use std::{
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use axum::{
    Router,
    http::{StatusCode, Uri, header},
    response::IntoResponse,
    routing::get,
};
use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use quire_egress::{
    AllowList, Client, EgressOptions, EgressPolicy, FetchError, Fetched, HeaderMap, Resolve, Url, UrlRefused,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

const TIMEOUT: Duration = Duration::from_secs(10);
const LIMIT: u64 = 1_000_000;

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn development() -> Client {
    Client::new(EgressPolicy { allow_loopback_http: true }).expect("root certificates are available")
}

fn allowing(list: &str) -> EgressOptions {
    EgressOptions { allow: list.parse().expect("a valid list"), ..EgressOptions::default() }
}

async fn fetch(client: &Client, url: &str) -> Result<(Vec<u8>, Fetched), FetchError> {
    let folder = TempDir::new().expect("a temporary folder");
    let file = folder.path().join("fetched");
    let url = Url::parse(url).expect("a valid URL");
    let fetched = client.fetch(&url, LIMIT, TIMEOUT, &file).await?;
    Ok((std::fs::read(&file)?, fetched))
}

fn redirect_to(target: impl Into<String>) -> impl IntoResponse {
    (StatusCode::FOUND, [(header::LOCATION, target.into())])
}

#[tokio::test]
async fn five_redirects_are_followed_and_no_more() {
    // `/5` redirects to `/4` and so on until `/0`.
    let hop = |uri: Uri| async move {
        match uri.path().trim_start_matches('/').parse::<u32>() {
            Ok(left @ 1..) => redirect_to((left - 1).to_string()).into_response(),
            _ => "the document".into_response(),
        }
    };
    let address = serve(Router::new().fallback(hop)).await;
    let (bytes, _) = fetch(&development(), &format!("http://{address}/5")).await.expect("five redirects");
    assert_eq!(bytes, b"the document");
    let error = fetch(&development(), &format!("http://{address}/6")).await.expect_err("six redirects");
    assert!(matches!(error, FetchError::Refused(UrlRefused::TooManyRedirects(5))) && !error.is_transient());
}

#[tokio::test]
async fn every_hop_is_checked_like_the_first() {
    for (location, expected) in [
        ("http://169.254.169.254/latest/meta-data/", UrlRefused::Scheme),
        ("https://169.254.169.254/latest/meta-data/", address("169.254.169.254", "a link-local address")),
        ("https://10.0.0.1/", address("10.0.0.1", "a private address")),
        ("https://metadata.google.internal/", address("metadata.google.internal", "a metadata service")),
        ("https://user:password@example.com/", UrlRefused::Credentials),
        ("file:///etc/passwd", UrlRefused::Scheme),
        ("https://[", UrlRefused::Malformed),
        ("https://example.com:0/", UrlRefused::Port),
        (&format!("https://example.com/{}", "x".repeat(2048)), UrlRefused::TooLong),
    ] {
        let location = location.to_owned();
        let router = Router::new().route("/", get(|| async { redirect_to(location) }));
        let error = fetch(&development(), &format!("http://{}/", serve(router).await)).await.expect_err("refused");
        let FetchError::Refused(UrlRefused::Redirect(refused)) = error else { panic!("{error:?}") };
        assert_eq!(*refused, expected);
        assert!(!refused.to_string().contains("meta-data") && !refused.to_string().contains("password@"));
    }
}

fn address(host: &str, why: &'static str) -> UrlRefused {
    UrlRefused::Address { host: host.to_owned(), why }
}

#[tokio::test]
async fn a_redirect_to_a_name_with_a_private_address_is_refused() {
    let router = Router::new().route("/", get(|| async { redirect_to("https://inside.example.com/secret") }));
    let server = serve(router).await;
    let options = EgressOptions { policy: EgressPolicy { allow_loopback_http: true }, ..EgressOptions::default() };
    let client = Client::build(options, Arc::new(Fixed("10.1.2.3"))).expect("a client");
    let error = fetch(&client, &format!("http://{server}/")).await.expect_err("refused");
    assert!(matches!(error, FetchError::Refused(_)), "{error:?}");
}

fn compressed<W: Write>(text: &[u8], encoder: impl FnOnce(Vec<u8>) -> W, end: impl FnOnce(W) -> Vec<u8>) -> Vec<u8> {
    let mut writer = encoder(Vec::new());
    writer.write_all(text).expect("in memory");
    end(writer)
}

fn gzip(text: &[u8]) -> Vec<u8> {
    compressed(text, |to| GzEncoder::new(to, Compression::best()), |writer| writer.finish().expect("in memory"))
}

fn zstd(text: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
}

async fn serve_encoded(encoding: &'static str, body: Vec<u8>) -> String {
    let answer = move || async move { ([(header::CONTENT_ENCODING, encoding)], body) };
    format!("http://{}/", serve(Router::new().route("/", get(answer))).await)
}

#[tokio::test]
async fn compressed_documents_are_decoded() {
    let text = b"Hello";
    let zlib = |to| ZlibEncoder::new(to, Compression::fast());
    let raw = |to| DeflateEncoder::new(to, Compression::fast());
    for (encoding, body) in [
        ("gzip", gzip(text)),
        ("X-GZIP", gzip(text)),
        ("gzip", [gzip(b"Hel"), gzip(b"lo")].concat()),
        ("deflate", compressed(text, zlib, |writer| writer.finish().expect("in memory"))),
        ("deflate", compressed(text, raw, |writer| writer.finish().expect("in memory"))),
        ("br", [&[0x0b, 0x02, 0x80], text.as_slice(), &[0x03]].concat()),
        ("zstd", zstd(text)),
        ("zstd", [zstd(b"Hel"), zstd(b"lo")].concat()),
        ("gzip, zstd", zstd(&gzip(text))),
        ("identity", text.to_vec()),
        ("aws-chunked", text.to_vec()),
    ] {
        let url = serve_encoded(encoding, body).await;
        let (bytes, fetched) = fetch(&development(), &url).await.expect(encoding);
        assert_eq!((bytes.as_slice(), fetched.bytes), (text.as_slice(), 5), "{encoding}");
    }
}

#[tokio::test]
async fn the_limit_is_that_of_the_decoded_document() {
    let zeros = vec![0; 4 * LIMIT as usize];
    for (encoding, bomb) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros)), ("gzip, gzip", gzip(&gzip(&zeros)))] {
        assert!(bomb.len() < LIMIT as usize, "{encoding}: {}", bomb.len());
        let url = serve_encoded(encoding, bomb).await;
        let started = Instant::now();
        let error = fetch(&development(), &url).await.expect_err("too large");
        assert!(matches!(error, FetchError::TooLarge { limit: LIMIT }), "{encoding}: {error:?}");
        assert!(started.elapsed() < TIMEOUT / 2);
    }
}

#[tokio::test]
async fn damaged_and_unknown_encodings_are_errors() {
    let whole = gzip(&[7; 1000]);
    for (encoding, body) in [("gzip", whole[..whole.len() - 9].to_vec()), ("br", vec![0xff; 9]), ("zstd", vec![1; 9])] {
        let error = fetch(&development(), &serve_encoded(encoding, body).await).await.expect_err("damaged");
        assert!(matches!(error, FetchError::Damaged) && error.is_transient(), "{encoding}: {error:?}");
    }
    let error = fetch(&development(), &serve_encoded("lzma", vec![1]).await).await.expect_err("unknown");
    assert_eq!(error.to_string(), "received the Content-Encoding lzma, expected one of gzip, deflate, br, zstd");
}

#[tokio::test]
async fn an_error_has_the_message_of_the_server_without_the_token_of_the_url() {
    let expired =
        "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
    let router = Router::new()
        .route("/expired", get(move || async move { (StatusCode::FORBIDDEN, expired) }))
        .route("/echo", get(|uri: Uri| async move { (StatusCode::NOT_FOUND, format!("nothing at {uri}")) }))
        .route("/html", get(|| async { ([(header::CONTENT_TYPE, "text/HTML; charset=utf-8")], "<html>") }));
    let server = serve(router).await;
    let error = |path: &'static str| async move {
        fetch(&development(), &format!("http://{server}/{path}")).await.expect_err("no document").to_string()
    };
    assert_eq!(error("expired").await, "answered with status 403: Request has expired");
    assert_eq!(error("echo?token=0123456789").await, "answered with status 404: nothing at …");
    let (_, fetched) = fetch(&development(), &format!("http://{server}/html")).await.expect("some bytes");
    assert_eq!(fetched.media_type.as_deref(), Some("text/html"));
}

/// Resolves every name to one address.
#[derive(Debug)]
struct Fixed(&'static str);

#[async_trait]
impl Resolve for Fixed {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![self.0.parse().expect("an address")])
    }
}

/// A resolver that knows no name.
#[derive(Debug)]
struct Ignorant;

#[async_trait]
impl Resolve for Ignorant {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Err(io::Error::other("failed to lookup address information: Name or service not known"))
    }
}

#[tokio::test]
async fn only_listed_private_hosts_and_networks_are_called() {
    let server = serve(Router::new().route("/", get(|| async { "inside" }).post(|| async { "taken" }))).await;
    let port = server.port();
    for (list, url, is_allowed) in [
        (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}/"), true),
        ("127.0.0.0/8".to_owned(), format!("http://127.0.0.1:{port}/"), true),
        (format!("minio:{port}"), format!("http://minio:{port}/"), true),
        ("minio".to_owned(), format!("http://MINIO:{port}/"), true),
        ("minio:9000".to_owned(), format!("http://minio:{port}/"), false),
        ("10.0.0.0/8,other".to_owned(), format!("http://127.0.0.1:{port}/"), false),
        ("10.0.0.0/8,other".to_owned(), format!("http://minio:{port}/"), false),
        (String::new(), format!("http://minio:{port}/"), false),
    ] {
        let client = Client::build(allowing(&list), Arc::new(Fixed("127.0.0.1"))).expect("a client");
        let fetched = fetch(&client, &url).await;
        let target = Url::parse(&url).expect("a URL");
        let posted = client.post(&target, HeaderMap::new(), "x".into(), TIMEOUT).await;
        assert_eq!((fetched.is_ok(), posted.is_ok()), (is_allowed, is_allowed), "{list} {url} {fetched:?} {posted:?}");
    }
}

#[tokio::test]
async fn a_listed_name_that_resolves_to_a_metadata_service_is_refused() {
    for metadata in ["169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254", "::ffff:169.254.169.254"] {
        let client = Client::build(allowing("innocent,0.0.0.0/0,::/0"), Arc::new(Fixed(metadata))).expect("a client");
        let error = fetch(&client, "http://innocent/").await.expect_err("refused");
        assert!(matches!(error, FetchError::Refused(UrlRefused::Address { .. })), "{metadata}: {error:?}");
    }
}

#[tokio::test]
async fn a_private_name_and_an_unknown_name_have_the_same_error() {
    let private = Client::build(EgressOptions::default(), Arc::new(Fixed("10.0.0.7"))).expect("a client");
    let unknown = Client::build(EgressOptions::default(), Arc::new(Ignorant)).expect("a client");
    let url = "https://database.corp.example.com/secret";
    let [private, unknown] =
        [fetch(&private, url).await, fetch(&unknown, url).await].map(|ended| ended.expect_err("no address"));
    assert_eq!(private.to_string(), unknown.to_string());
    assert_eq!(private.is_transient(), unknown.is_transient());
    assert_eq!(private.to_string(), "database.corp.example.com is refused: it has no address on the public internet");
}

/// Serves one response by https, with a certificate of a private authority. Returns the authority's certificate.
async fn serve_tls(answer: &'static str) -> (SocketAddr, String) {
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = authority.self_signed(&authority_key).expect("a certificate").pem();
    let key = KeyPair::generate().expect("a key");
    let issuer = Issuer::new(authority, authority_key);
    let names = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let certificate = names.signed_by(&key, &issuer).expect("a certificate");
    let private = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], private).expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut socket) = acceptor.accept(socket).await else { continue };
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(answer.as_bytes()).await;
            let _ = socket.shutdown().await;
        }
    });
    (address, ca)
}

#[tokio::test]
async fn a_private_authority_is_trusted_if_its_certificate_is_given() {
    let (address, ca) = serve_tls("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsigned").await;
    let url = format!("https://localhost:{}/", address.port());
    let allow: AllowList = "localhost".parse().expect("a list");
    let options = EgressOptions { allow, ..EgressOptions::default() };
    let without = Client::with_options(options.clone()).expect("a client");
    assert!(matches!(fetch(&without, &url).await, Err(FetchError::Unreachable { .. })));
    let with = EgressOptions { ca_certificates: Some(ca.into_bytes()), ..options.clone() };
    let (bytes, _) = fetch(&Client::with_options(with).expect("a client"), &url).await.expect("trusted");
    assert_eq!(bytes, b"signed");
    for invalid in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let options = EgressOptions { ca_certificates: Some(invalid.as_bytes().to_vec()), ..options.clone() };
        assert!(Client::with_options(options).is_err(), "{invalid:?}");
    }
}

#[tokio::test]
async fn a_redirect_from_https_to_http_is_refused_even_where_http_is_allowed() {
    let plain = serve(Router::new().route("/", get(|| async { "plain" }))).await;
    let answer =
        format!("HTTP/1.1 302 Found\r\nlocation: http://localhost:{}/\r\ncontent-length: 0\r\n\r\n", plain.port());
    let (address, ca) = serve_tls(answer.leak()).await;
    let allow: AllowList = "localhost".parse().expect("a list");
    let options = EgressOptions { allow, ca_certificates: Some(ca.into_bytes()), ..EgressOptions::default() };
    let client = Client::with_options(options).expect("a client");
    let error = fetch(&client, &format!("https://localhost:{}/", address.port())).await.expect_err("a downgrade");
    let expected = UrlRefused::Redirect(Box::new(UrlRefused::Scheme));
    assert!(matches!(&error, FetchError::Refused(refused) if *refused == expected), "{error:?}");
    assert!(fetch(&client, &format!("http://localhost:{}/", plain.port())).await.is_ok(), "http itself is allowed");
}
