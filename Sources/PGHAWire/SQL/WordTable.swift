/// Finds the keyword that a word is: an open-addressed table without a class, an array or a bounds check on the way.
///
/// `@unchecked`: the memory is written by `init` alone and freed by `deinit`.
final class WordTable: @unchecked Sendable {
    struct Slot {
        var hash: UInt32 = 0
        var offset: UInt32 = 0
        /// 0 where the slot is empty.
        var length: UInt8 = 0
        var keyword = Keyword.none
    }

    let view: View
    private let slots: UnsafeMutablePointer<Slot>
    private let text: UnsafeMutablePointer<UInt8>
    private let letters: UnsafeMutablePointer<UInt8>

    /// Later words replace earlier ones. Words of more than 255 bytes cannot be names of PostgreSQL (63) and are left
    /// out.
    init(_ words: [(String, Keyword)]) {
        let words = words.map { (Array($0.utf8).map(\.asciiLowercased), $1) }.filter { 1...255 ~= $0.0.count }
        // At most a quarter full: a word that is none of them is seldom compared with anything.
        let bits = max(4, UInt64.bitWidth - UInt64(words.count * 4).leadingZeroBitCount)
        let count = 1 << bits
        self.slots = .allocate(capacity: count)
        self.slots.initialize(repeating: Slot(), count: count)
        self.text = .allocate(capacity: max(1, words.reduce(0) { $0 + $1.0.count }))
        self.letters = .allocate(capacity: 256)
        for byte in 0...255 { self.letters[byte] = Self.letter(UInt8(byte)) }
        self.view = View(slots: self.slots, text: self.text, letters: self.letters, shift: UInt64(64 - bits))
        var offset = 0
        for (word, keyword) in words {
            for (index, byte) in word.enumerated() { self.text[offset + index] = byte }
            self.insert(Slot(offset: UInt32(offset), length: UInt8(word.count), keyword: keyword), word)
            offset += word.count
        }
    }

    deinit {
        self.slots.deallocate()
        self.text.deallocate()
        self.letters.deallocate()
    }

    private func insert(_ slot: Slot, _ word: [UInt8]) {
        let mixed = View.mix(word.reduce(0) { View.step($0, $1) })
        var slot = slot
        slot.hash = UInt32(truncatingIfNeeded: mixed)
        var index = Int(mixed >> self.view.shift)
        let mask = (1 << (64 - Int(self.view.shift))) - 1
        while self.slots[index].length != 0 {
            let other = self.slots[index]
            if other.hash == slot.hash, other.length == slot.length,
                word.indices.allSatisfy({ self.text[Int(other.offset) + $0] == word[$0] })
            {
                break
            }
            index = (index + 1) & mask
        }
        self.slots[index] = slot
    }

    /// What a byte counts for inside of a word: itself, a small letter for a capital, 0 where it ends the word.
    private static func letter(_ byte: UInt8) -> UInt8 {
        switch byte {
        case 0x30...0x39, 0x61...0x7A, 0x80...0xFF, UInt8(ascii: "_"), UInt8(ascii: "$"): byte
        case 0x41...0x5A: byte | 0x20
        default: 0
        }
    }

    /// The table as a plain value; its owner must be kept alive meanwhile.
    struct View {
        let slots: UnsafePointer<Slot>
        let text: UnsafePointer<UInt8>
        let letters: UnsafePointer<UInt8>
        let shift: UInt64

        init(
            slots: UnsafeMutablePointer<Slot>, text: UnsafeMutablePointer<UInt8>,
            letters: UnsafeMutablePointer<UInt8>, shift: UInt64
        ) {
            self.slots = UnsafePointer(slots)
            self.text = UnsafePointer(text)
            self.letters = UnsafePointer(letters)
            self.shift = shift
        }

        /// Adds a byte to the hash of a word.
        @inline(__always) static func step(_ hash: UInt64, _ byte: UInt8) -> UInt64 {
            (hash &<< 5 | hash &>> 59) ^ UInt64(byte)
        }

        /// Spreads the hash over the high bits (Fibonacci hashing: 2^64 divided by the golden ratio).
        @inline(__always) static func mix(_ hash: UInt64) -> UInt64 { hash &* 0x9E37_79B9_7F4A_7C15 }

        /// The keyword with this hash and these letters.
        @inline(__always) func keyword(_ hash: UInt64, _ word: UnsafePointer<UInt8>, _ count: Int) -> Keyword {
            let mixed = Self.mix(hash)
            var index = Int(truncatingIfNeeded: mixed &>> self.shift)
            let mask = (1 &<< (64 &- Int(self.shift))) &- 1
            while true {
                let slot = self.slots[index]
                if slot.length == 0 { return .none }
                if slot.hash == UInt32(truncatingIfNeeded: mixed), Int(slot.length) == count,
                    self.matches(word, Int(slot.offset), count)
                {
                    return slot.keyword
                }
                index = (index &+ 1) & mask
            }
        }

        @inline(__always) private func matches(_ word: UnsafePointer<UInt8>, _ offset: Int, _ count: Int) -> Bool {
            for index in 0..<count where self.letters[Int(word[index])] != self.text[offset &+ index] { return false }
            return true
        }
    }
}
