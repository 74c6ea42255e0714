//! As little of an HTTP/1.1 client as makes a load: one request at a time over a connection that stays.

use std::{io, net::SocketAddr, str};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    ///
    /// That of the system.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let buffer = Vec::with_capacity(4096);
        Ok(Self { stream, buffer })
    }

    /// Sends a request as it is written, and reads the whole response. What comes back is its status.
    ///
    /// # Errors
    ///
    /// That of the system, and `InvalidData` for a response without a length or of more than 64 KiB.
    pub async fn send(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(response) = Response::parse(&self.buffer)?
                && self.buffer.len() >= response.length
            {
                return Ok(response.status);
            }
            if self.buffer.len() > MAX_RESPONSE {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

struct Response {
    status: u16,
    /// Of head and body.
    length: usize,
}

impl Response {
    /// `None` while the head is not there.
    fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let invalid = || io::Error::from(io::ErrorKind::InvalidData);
        let head = str::from_utf8(&bytes[..end]).map_err(|_| invalid())?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let status = status.and_then(|status| status.parse().ok());
        let body = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().ok())?
        });
        Ok(Some(Self {
            status: status.ok_or_else(invalid)?,
            length: end + 4 + body.ok_or_else(invalid)?,
        }))
    }
}

const MAX_RESPONSE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_as_long_as_its_head_and_what_that_says() {
        let text = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\nx: 1\r\n\r\nno";
        let response = Response::parse(text).unwrap().unwrap();
        assert_eq!((response.status, response.length), (429, text.len()));
        assert!(Response::parse(&text[..text.len() - 6]).unwrap().is_none());
    }

    #[test]
    fn a_response_without_a_length_is_an_error() {
        assert!(Response::parse(b"HTTP/1.1 200 OK\r\nx: 1\r\n\r\n").is_err());
        assert!(Response::parse(b"nonsense\r\n\r\n").is_err());
    }
}
